package stores

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// The embedded broker starts to count the time of a group's member when it has answered
// the member's wish to join, and only if its connection is still there. A process that
// is killed while it waits for that answer is never timed out: it is given partitions, and
// keeps them for ever. So the broker is told that such a connection has ended only when it
// has given its answer; then it finds out by itself that nobody is there.

const (
	// joinGroup is the request's key: https://kafka.apache.org/protocol#protocol_api_keys
	joinGroup = 11
	// longestJoin is how long an answer may take: longer than any rebalance.
	longestJoin = 2 * time.Minute
	// headBytes are a request's length and its key.
	headBytes = 4 + 2
)

// joinable is a listener whose connections are told to the broker as above.
type joinable struct{ net.Listener }

// Accept implements net.Listener.
func (j joinable) Accept() (net.Conn, error) {
	conn, err := j.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &joinConn{Conn: conn, closed: make(chan struct{})}, nil
}

// joinConn is a client's connection, as the broker sees it. Read is called by one
// goroutine.
type joinConn struct {
	net.Conn
	head []byte // Read's: of the request that is coming in
	rest uint32 // Read's: how much of that request is still to come

	mu      sync.Mutex
	waiting chan struct{} // under mu: closed by the next answer; nil unless the last request wishes to join
	closing sync.Once
	closed  chan struct{}
}

// Read implements net.Conn.
func (c *joinConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.follow(p[:n])
	if err == nil || n > 0 {
		return n, err
	}
	c.mu.Lock()
	waiting := c.waiting
	c.mu.Unlock()
	if waiting != nil {
		patience := time.NewTimer(longestJoin)
		defer patience.Stop()
		select {
		case <-waiting:
		case <-c.closed:
		case <-patience.C:
		}
	}
	return n, err
}

// follow reads the heads of the requests that pass by.
func (c *joinConn) follow(p []byte) {
	for len(p) > 0 {
		if c.rest > 0 {
			skip := min(int(c.rest), len(p))
			c.rest -= uint32(skip)
			p = p[skip:]
			continue
		}
		take := min(headBytes-len(c.head), len(p))
		c.head, p = append(c.head, p[:take]...), p[take:]
		if len(c.head) < headBytes {
			return
		}
		length, key := binary.BigEndian.Uint32(c.head), binary.BigEndian.Uint16(c.head[4:])
		c.head, c.rest = c.head[:0], max(length, 2)-2
		c.mu.Lock()
		c.waiting = nil
		if key == joinGroup {
			c.waiting = make(chan struct{})
		}
		c.mu.Unlock()
	}
}

// Write implements net.Conn. It is how the broker answers.
func (c *joinConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.waiting != nil {
		close(c.waiting)
		c.waiting = nil
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *joinConn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
