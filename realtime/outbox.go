package realtime

import (
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

// freshly is the part of a heartbeat for which a sign of life is good enough not to ask for one.
const freshly = 1. / 4

// ping asks whether the client is there, and has it looked at if it may not be. Whose machine has just taken what it was
// told is there, and who is owed news will be told them: in a sale, when the processors are needed most, that
// is nearly everybody. But asks has everybody asked, which is to be so now and then: a proxy's machine takes all, whoever is behind it.
func (c *conn) ping(w *writer, asks bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return
	case c.draining || c.closing != nil || len(c.owed) > 0: // something is on its way
	case asks:
		c.ask(w)
	default:
		if !c.pinged { // who was asked answers: a proxy's machine takes all
			c.takes()
		}
		g := c.hub.gateway
		recent := g.clock() - time.Duration(freshly*float64(g.cfg.Heartbeat))
		if b := c.hub.backlog.Load(); c.heard <= recent && (b == nil || c.position >= b.end()) {
			c.ask(w)
		}
	}
	c.suspect()
}

// ask sends a ping. Called under mu, with nothing owed.
func (c *conn) ask(w *writer) {
	told := c.told
	c.pinged = true
	c.owed = append(c.owed, pingFrame)
	c.flushLocked(w)
	c.told = told
}

// askAnyway asks a client that was not when the heartbeat passed. Called under mu.
func (c *conn) askAnyway() {
	w := c.hub.gateway.writer()
	defer c.hub.gateway.done(w)
	if len(c.owed) == 0 {
		c.ask(w)
	}
	c.suspect()
}

// takes notes that the client is there, if its machine has taken all that it was told since it was heard. Called under mu.
func (c *conn) takes() {
	if c.told > c.heard && !c.draining && c.closing == nil && c.line.taken() {
		c.alive(c.told)
	}
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
	c.await(c.hub.gateway.cfg.CloseGrace)
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
	if at, several := b.stands(c.position); several {
		if m, position := c.hub.since(at); m != nil {
			c.position = position
			return m.as(c.form)
		}
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
		c.told = c.hub.gateway.clock()
		rest, err := c.line.offer(w, f.wire)
		if err != nil {
			c.cutLocked()
			return
		}
		if len(rest) > 0 {
			c.drain(rest)
		}
	}
}

// drain has the rest of a frame written, for as long as a client may take. One that takes longer is
// closed as too slow; it learns that if it reads on within CloseGrace, since a frame that was begun must be
// finished before the close. Called under mu.
func (c *conn) drain(rest []byte) {
	g := c.hub.gateway
	g.meters.drains.Inc()
	c.draining = true
	if c.closing == nil {
		c.await(g.cfg.WriteTimeout)
	}
	c.line.drain(rest)
}

// drained is called by the line when the rest is written, or why it can't be. Called under mu.
func (c *conn) drained(err error) {
	c.draining = false
	if err != nil {
		c.cutLocked()
		return
	}
	c.alive(c.hub.gateway.clock()) // who reads lives: while it drained it was not pinged
	c.flushNow()
}
