package realtime

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// maxOwed is how many frames in person may wait for a client. One that leaves
// more unread is closed: it comes back and asks for its orders, and so misses none.
const maxOwed = 16

// owe adds a frame that is this client's own, and writes it if the socket takes it.
func (c *conn) owe(f *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.closing != nil {
		return
	}
	if len(c.owed) == maxOwed {
		c.shutLocked(tooSlow)
		return
	}
	c.owed = append(c.owed, f)
	c.flushNow()
}

// ping asks whether the client is there, unless something is on its way to it anyway.
func (c *conn) ping(w *writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.ended || c.closing != nil || len(c.owed) > 0 {
		return
	}
	c.owed = append(c.owed, pingFrame)
	c.flushLocked(w)
}

// resume owes the client what leads on from where it stands: it has just come, or has
// found a gap.
func (c *conn) resume(from place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leadOn(from)
	c.flushNow()
}

// leadOn owes a delta from there, or a snapshot if the client stands nowhere or no delta
// leads on. One that doesn't read gets a snapshot too, when it reads again: by then a delta
// would be older than what is newest.
func (c *conn) leadOn(from place) {
	c.position = 0
	if c.draining || c.ended || len(c.owed) == maxOwed {
		return
	}
	if m, position := c.hub.since(from); m != nil {
		c.owed = append(c.owed, m.as(c.form))
		c.position = position
	}
}

// shut ends the feed, after the frame that is under way. What else the client is owed is dropped.
func (c *conn) shut(b goodbye) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shutLocked(b)
}

func (c *conn) shutLocked(b goodbye) {
	if c.ended || c.closing != nil {
		return
	}
	c.hub.gateway.meters.closes[b.code].Inc()
	c.closing = byeFrame(b)
	_ = c.socket.SetReadDeadline(time.Now().Add(c.hub.gateway.cfg.CloseGrace)) // or the socket is broken and the reader ends at once
	c.flushNow()
}

// echoClose answers the client's own close.
func (c *conn) echoClose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closing = closeFrame(websocket.CloseNormalClosure, "")
		c.flushNow()
	}
}

// next returns the frame to be written now, or nil if the client has all that it
// is owed. Called under mu, by whoever may write.
func (c *conn) next() *frame {
	if c.closing != nil {
		if c.closed {
			return nil
		}
		c.closed = true
		return c.closing
	}
	if len(c.owed) > 0 {
		f := c.owed[0]
		if c.owed = c.owed[1:]; len(c.owed) == 0 {
			c.owed = nil // let its memory go
		}
		return f
	}
	b := c.hub.backlog.Load()
	if b == nil {
		return nil
	}
	m, behind := b.at(c.position)
	switch {
	case behind:
		m, c.position = c.hub.latest()
	case m != nil:
		c.position++
	}
	if m == nil {
		return nil
	}
	return m.as(c.form)
}

// flush writes what the client is owed, as far as its socket takes it.
func (c *conn) flush(w *writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushLocked(w)
}

// catchUp is flush with a writer of the pool.
func (c *conn) catchUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushNow()
}

// flushNow is flushLocked with a writer of the pool.
func (c *conn) flushNow() {
	w := c.hub.gateway.writer()
	defer c.hub.gateway.done(w)
	c.flushLocked(w)
}

func (c *conn) flushLocked(w *writer) {
	for !c.draining && !c.ended {
		f := c.next()
		if f == nil {
			return
		}
		w.count(f)
		rest, err := w.offer(c.raw, f.wire)
		if err != nil {
			c.cutLocked()
			return
		}
		if len(rest) > 0 {
			c.draining = true
			c.hub.gateway.meters.drains.Inc()
			c.hub.gateway.conns.Add(1) // the reader, which hasn't left, keeps it above zero
			go c.drain(rest)
		}
	}
}

// drain writes the rest of a frame, for as long as a client may take, and then
// hands the socket back. One that takes longer is closed as too slow; it learns
// that if it reads on within CloseGrace, since a frame that was begun must be
// finished before the close.
func (c *conn) drain(rest []byte) {
	g := c.hub.gateway
	defer g.conns.Done()
	rest, err := c.push(rest, g.cfg.WriteTimeout)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.shut(tooSlow)
		_, err = c.push(rest, g.cfg.CloseGrace)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = false
	switch {
	case c.ended:
		_ = c.owner.Close() // the reader left it to us
	case err != nil:
		c.cutLocked()
	default:
		_ = c.socket.SetWriteDeadline(time.Time{}) // if it is broken the next write says so
		c.flushNow()
	}
}

// push writes p and waits for the socket, but not for longer than the given
// time. It returns what wasn't written.
func (c *conn) push(p []byte, within time.Duration) (rest []byte, err error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return p, net.ErrClosed
	}
	err = c.socket.SetWriteDeadline(time.Now().Add(within))
	c.mu.Unlock()
	if err != nil {
		return p, err
	}
	n, err := c.socket.Write(p)
	return p[n:], err
}
