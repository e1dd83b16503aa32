package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// The bounds of the connections that all buyers of a process share. A buyer who finds every
// connection busy waits for one, and the wait counts as the server's latency.
const (
	maxHTTPConns   = 512
	dialTimeout    = 5 * time.Second
	requestTimeout = 15 * time.Second
	// idleTimeout is less than any server keeps a connection open that says nothing.
	idleTimeout = 5 * time.Second
)

// conns are keep-alive connections to one server, at most maxHTTPConns. Safe for concurrent use.
type conns struct {
	address string
	tls     *tls.Config   // nil for none
	slots   chan struct{} // one for each connection that there is, or will be in a moment
	alarm   alarm         // of those who wait for one

	mu   sync.Mutex
	idle []idleWire // under mu: the one that was used last is the last
}

type idleWire struct {
	wire  *wire
	since time.Time
}

func newConns(address string, secure *tls.Config) *conns {
	return &conns{address: address, tls: secure, slots: make(chan struct{}, maxHTTPConns)}
}

// take returns a connection that is the caller's until put back or dropped, all of it until a deadline.
func (c *conns) take(deadline time.Time) (*wire, error) {
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-c.alarm.at(deadline):
			return nil, fmt.Errorf("all %d connections to %s are busy", maxHTTPConns, c.address)
		}
	}
	w, err := c.newest(), error(nil)
	if w == nil {
		var conn net.Conn
		if conn, err = c.dial(); err == nil {
			w = newWire(conn)
		}
	}
	if err == nil {
		if err = w.conn.SetDeadline(deadline); err != nil {
			_ = w.conn.Close() // it is of no use
		}
	}
	if err != nil {
		<-c.slots
		return nil, fmt.Errorf("connecting to %s: %w", c.address, err)
	}
	return w, nil
}

// newest returns the idle connection that was used last, nil if there is none that a server has
// surely not given up.
func (c *conns) newest() *wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		return nil
	}
	if time.Since(c.idle[last].since) > idleTimeout { // all others are older
		c.closeIdle()
		return nil
	}
	w := c.idle[last].wire
	c.idle = c.idle[:last]
	return w
}

func (c *conns) put(w *wire) {
	c.mu.Lock()
	c.idle = append(c.idle, idleWire{w, time.Now()})
	c.mu.Unlock()
	<-c.slots
}

// drop closes a connection on which nothing more can be asked.
func (c *conns) drop(w *wire) {
	_ = w.conn.Close() // what was wrong with it is known
	<-c.slots
}

// dial opens a connection that isn't counted.
func (c *conns) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if c.tls != nil {
		return (&tls.Dialer{Config: c.tls}).DialContext(ctx, "tcp", c.address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
}

// close closes the connections that are in nobody's hands, after everybody has put theirs back.
func (c *conns) close() {
	c.alarm.wake() // nobody waits any more
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeIdle()
}

func (c *conns) closeIdle() {
	for _, i := range c.idle {
		_ = i.wire.conn.Close() // nothing was under way
	}
	c.idle = nil
}
