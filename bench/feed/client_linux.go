package feed

import (
	"bytes"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"onsale/bench/rawfeed"
	"onsale/internal/feedclient"
)

// client is one connection: a feed that is folded by the rules of the protocol, or a bare
// socket. That folds too what it is sent, from where a feed stood (see mirrorFeeds): the two
// are raced, and only who sends may differ.
type client struct {
	fd     int
	slot   int32
	state  state
	bare   bool
	deaf   bool // doesn't read
	going  bool // has said goodbye: that it ends is no news
	round  int  // that it was marked in
	fails  int  // how often it could not be opened, one time after the other
	target *unix.SockaddrInet4
	source *unix.SockaddrInet4
	host   string
	fold   feedclient.Fold
	rest   []byte // the beginning of a frame, or of the answer to the upgrade
}

type state uint8

const (
	closed state = iota
	connecting
	upgrading
	greeted // it is upgraded, and waits for its first snapshot
	live
)

// Slots are what epoll says of an event: of a feed its number, of a bare socket -1 less its number.
const wakeSlot = int32(1<<31 - 1)

const (
	// reopenPause is around which a client that was cut comes back. It doubles with each
	// failure, so often at the most: to 8 s.
	reopenPause     = 500 * time.Millisecond
	reopenDoublings = 4
)

func (c *crowd) client(slot int32) *client {
	if slot < 0 {
		return c.bare[-1-slot]
	}
	return c.feeds[slot]
}

// serve handles one event.
func (c *crowd) serve(e unix.EpollEvent) {
	if e.Fd == wakeSlot {
		var count [8]byte
		_, _ = unix.Read(c.wake, count[:]) // it is readable, and what it says doesn't matter
		return
	}
	cl := c.client(e.Fd)
	switch cl.state {
	case closed: // in this very turn
	case connecting:
		c.connected(cl)
	default:
		c.read(cl)
	}
}

// connect begins to open a connection.
func (c *crowd) connect(cl *client) {
	c.opening++
	cl.state = connecting
	var err error
	if cl.fd, err = rawfeed.Dial(c.epoll, cl.slot, cl.source, cl.target); err != nil {
		c.lost(cl, err)
	}
}

func (c *crowd) connected(cl *client) {
	var greeting []byte
	if !cl.bare {
		cl.state, greeting = upgrading, rawfeed.Upgrade(cl.host, c.path, c.protocol)
	}
	switch err := rawfeed.Dialed(c.epoll, cl.fd, cl.slot, greeting); {
	case err != nil:
		c.lost(cl, err)
	case cl.bare:
		cl.state = live
		c.opening--
		c.steady++
	}
}

// read takes what has come.
func (c *crowd) read(cl *client) {
	n, err := rawfeed.Read(cl.fd, c.buffer)
	if err != nil {
		c.lost(cl, fmt.Errorf("read: %w", err))
		return
	}
	data := c.buffer[:n]
	if len(cl.rest) > 0 {
		data = append(cl.rest, data...)
		cl.rest = nil
	}
	if cl.state == upgrading {
		if data = c.upgraded(cl, data); cl.state == closed {
			return
		}
	}
	for cl.state == greeted || cl.state == live {
		opcode, payload, more, ok, err := rawfeed.Cut(data)
		if err != nil {
			c.breaks("a feed: %v", err)
			c.lost(cl, err)
			return
		}
		if !ok {
			break
		}
		data = more
		c.take(cl, opcode, payload)
	}
	if len(data) > 0 && cl.state != closed {
		cl.rest = bytes.Clone(data)
	}
}

// upgraded reads the answer to the upgrade and returns what comes after it.
func (c *crowd) upgraded(cl *client, data []byte) []byte {
	answer, rest, after, err := rawfeed.ReadAnswer(data)
	switch answer {
	case rawfeed.Unfinished:
		return data
	case rawfeed.Upgraded:
		cl.state = greeted
		return rest
	case rawfeed.Busy:
		c.refused++
		c.end(cl)
		c.again(cl, after)
		return nil
	}
	c.lost(cl, err)
	return nil
}

// take handles one frame.
func (c *crowd) take(cl *client, opcode int, payload []byte) {
	switch {
	case opcode == websocket.PingMessage:
		if err := rawfeed.Write(cl.fd, rawfeed.Pong); err != nil {
			c.lost(cl, fmt.Errorf("answer a ping: %w", err))
		}
	case opcode == websocket.CloseMessage:
		c.lost(cl, fmt.Errorf("the server closes: %q", payload))
	case opcode == websocket.TextMessage:
		frame, err := c.parser.Parse(payload)
		c.follow(cl, frame, payload, err)
	case opcode == websocket.BinaryMessage:
		frame, err := c.parser.ParseBinary(payload)
		c.follow(cl, frame, payload, err)
	}
}

// follow folds a frame of the protocol, unless it is none.
func (c *crowd) follow(cl *client, frame *feedclient.Frame, payload []byte, err error) {
	before := cl.fold.View()
	gap := false
	if err == nil {
		gap, err = cl.fold.Apply(frame)
	}
	if err != nil {
		c.breaks("a feed frame: %v", err)
		c.lost(cl, err)
		return
	}
	switch {
	case cl.bare:
		c.mark(cl)
	case gap:
		c.gaps++
		if err := rawfeed.Write(cl.fd, rawfeed.Request(cl.fold.Resume())); err != nil {
			c.lost(cl, fmt.Errorf("resume: %w", err))
		}
	case frame.Snapshot != nil:
		if cl.state == greeted {
			cl.state, cl.fails = live, 0
			c.opening--
			c.open++
			c.opened++
		}
		c.mark(cl)
	case frame.Delta != nil && cl.fold.View() != before:
		c.deltas++
		c.delivery.note(c.now - frame.Delta.At.UnixNano())
		if shown := before.At.UnixNano(); shown >= c.since { // the oldest change came right after
			c.stale.note(c.now - shown)
		}
		if len(c.newest) == 0 || c.round > 0 && len(c.marks) == 0 {
			c.newest = bytes.Clone(payload)
		}
		c.mark(cl)
	}
}

// lost ends a connection that can't go on, and opens it again: after a pause, unless the
// client has left of its own will.
func (c *crowd) lost(cl *client, err error) {
	lived := cl.state == live || cl.state == greeted
	going := cl.going
	c.end(cl)
	switch {
	case going:
		c.unborn = append(c.unborn, cl)
		return
	case cl.bare && lived:
		c.breaks("a bare socket: %v", err)
	case lived:
		c.dropped++
	default:
		c.failed++
		cl.fails++
	}
	c.why = err.Error()
	c.again(cl, reopenPause<<min(cl.fails, reopenDoublings))
}

// end closes a connection.
func (c *crowd) end(cl *client) {
	switch {
	case cl.state == closed:
		return
	case cl.state != live:
		c.opening--
	case cl.bare:
		c.steady--
	default:
		c.open--
	}
	if cl.fd >= 0 {
		_ = unix.Close(cl.fd) // which also takes it out of the epoll
	}
	*cl = client{slot: cl.slot, bare: cl.bare, round: cl.round, fails: cl.fails, target: cl.target, source: cl.source, host: cl.host}
}

// cut ends a connection without a word, as a machine does that loses power: nothing waits
// for its last packets.
func (c *crowd) cut(cl *client) {
	if cl.state != closed {
		rawfeed.Abandon(cl.fd)
		c.end(cl)
	}
}
