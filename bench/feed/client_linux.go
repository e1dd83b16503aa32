package feed

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

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
	// upgradeKey is any 16 bytes in base 64: nothing here checks the answer to it.
	upgradeKey = "b25zYWxlIGlzIHNvbGQuLg=="
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
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		cl.fd = -1
		c.lost(cl, fmt.Errorf("make a socket: %w", err))
		return
	}
	cl.fd = fd
	// Ports are few: one is chosen only when both ends are known, so that others may have the same.
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, cl.source))
	if err == nil {
		if err = unix.Connect(fd, cl.target); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	}
	if err == nil {
		err = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: cl.slot})
	}
	if err != nil {
		c.lost(cl, fmt.Errorf("connect: %w", err))
	}
}

func (c *crowd) connected(cl *client) {
	failure, err := unix.GetsockoptInt(cl.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failure != 0 {
		err = unix.Errno(failure)
	}
	if err == nil {
		err = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_MOD, cl.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: cl.slot})
	}
	if err == nil && !cl.bare {
		cl.state = upgrading
		err = write(cl.fd, c.upgrade(cl.host))
	}
	switch {
	case err != nil:
		c.lost(cl, fmt.Errorf("connect: %w", err))
	case cl.bare:
		cl.state = live
		c.opening--
		c.steady++
	}
}

func (c *crowd) upgrade(host string) []byte {
	return []byte("GET " + c.path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + c.protocol + "\r\nSec-WebSocket-Key: " + upgradeKey + "\r\n\r\n")
}

// write writes a few bytes, which a socket that is alive takes at once.
func write(fd int, p []byte) error {
	n, err := unix.Write(fd, p)
	if err == nil && n < len(p) {
		err = unix.EAGAIN
	}
	return err
}

// read takes what has come.
func (c *crowd) read(cl *client) {
	n, err := unix.Read(cl.fd, c.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		c.lost(cl, fmt.Errorf("read: %w", err))
		return
	case n == 0:
		c.lost(cl, errors.New("the server has closed the connection"))
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
		opcode, payload, more, ok, err := cutFrame(data)
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
	head, rest, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	switch {
	case !ok && len(data) < bufferBytes:
		return data
	case bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")):
		cl.state = greeted
		return rest
	case bytes.HasPrefix(head, []byte("HTTP/1.1 503 ")):
		c.refused++
		c.end(cl)
		c.again(cl, retryAfter(head))
		return nil
	}
	c.lost(cl, fmt.Errorf("the upgrade was answered %.100q", head))
	return nil
}

// retryAfter is what a 503 asks for, or a second.
func retryAfter(head []byte) time.Duration {
	if _, value, ok := bytes.Cut(head, []byte("\r\nRetry-After: ")); ok {
		text, _, _ := bytes.Cut(value, []byte("\r\n"))
		if seconds, err := strconv.Atoi(string(text)); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return time.Second
}

// take handles one frame.
func (c *crowd) take(cl *client, opcode int, payload []byte) {
	switch {
	case opcode == websocket.PingMessage:
		if err := write(cl.fd, pong); err != nil {
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
		if err := write(cl.fd, requestFrame(cl.fold.Resume())); err != nil {
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
		// It can't fail on an open socket; if it did, the server would be told of the end, and churn less hard.
		_ = unix.SetsockoptLinger(cl.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		c.end(cl)
	}
}
