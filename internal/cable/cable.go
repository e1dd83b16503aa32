// Package cable is a TCP connection's way between two processes of this machine, as
// something that can be cut, pulled out, blocked and slowed: what networks do. Clients
// are given the cable's address; where it leads may change while it is in use, as when
// the server is started again on another port.
//
// What a cable does to the bytes is what a network may do: they come late, in order and
// unchanged, or the connection is reset. It never forges an orderly end.
package cable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"onsale/internal/lifecycle"
)

const (
	// pieceBytes is the most that is passed on at once.
	pieceBytes = 32 << 10
	// dialTimeout bounds how long the server may take to accept. It is on this machine.
	dialTimeout = 5 * time.Second
	// maxConnections is how many connections one cable carries; more are reset.
	maxConnections = 20_000
)

// Weather is what is wrong with a cable. The zero value is nothing.
type Weather struct {
	Out     bool          // pulled out: every connection is reset, and every new one
	Blocked bool          // nothing passes, and nobody is told
	Delay   time.Duration // of every piece, in each direction
	Rate    int           // bytes a second, of each connection in each direction; 0: no limit
}

// Cable carries connections from its own address to where it leads. It is a
// lifecycle.Part, and safe for concurrent use.
type Cable struct {
	listener net.Listener // set by Start
	group    lifecycle.Group

	mu      sync.Mutex
	target  string               // under mu: host:port; "" leads nowhere, and connections are reset
	weather Weather              // under mu
	changed chan struct{}        // under mu: closed, and replaced, when the weather changes
	live    map[*strand]struct{} // under mu; bounded by maxConnections
}

var _ lifecycle.Part = (*Cable)(nil)

// New returns a cable that leads nowhere yet.
func New() *Cable {
	return &Cable{changed: make(chan struct{}), live: map[*strand]struct{}{}}
}

// Start listens on a free loopback port.
func (c *Cable) Start(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if c.listener, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("cable: %w", err)
	}
	c.group.Go(ctx, c.accept)
	return nil
}

// Stop resets every connection and stops listening.
func (c *Cable) Stop(ctx context.Context) error {
	if c.listener == nil {
		return nil
	}
	err := c.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil // stopped before
	}
	c.Cut()
	return errors.Join(err, c.group.Stop(ctx))
}

// Addr is the host:port to give to clients. Valid after Start.
func (c *Cable) Addr() string { return c.listener.Addr().String() }

// Lead has new connections lead to host:port; "" to nowhere.
func (c *Cable) Lead(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = target
}

// Cut resets every connection once. New ones are let through.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.live {
		s.reset()
	}
}

// Set changes the weather of all connections, old and new.
func (c *Cable) Set(w Weather) {
	c.mu.Lock()
	c.weather = w
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	if w.Out {
		c.Cut()
	}
}

// now returns the weather, and what is closed when it changes.
func (c *Cable) now() (Weather, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.weather, c.changed
}

func (c *Cable) accept(ctx context.Context) {
	for {
		conn, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no file to be had for it: others may end meanwhile
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
				continue
			}
		}
		s := &strand{cable: c, client: conn, ended: make(chan struct{})}
		if !c.add(s) || !c.group.Go(ctx, s.run) {
			s.reset()
			c.remove(s)
		}
	}
}

// add takes a connection in, if it may come.
func (c *Cable) add(s *strand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.weather.Out || c.target == "" || len(c.live) >= maxConnections {
		return false
	}
	s.target = c.target
	c.live[s] = struct{}{}
	return true
}

func (c *Cable) remove(s *strand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.live, s)
}
