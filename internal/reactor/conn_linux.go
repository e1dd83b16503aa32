package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// hand is who has a connection, and alone may read, write and close it.
type hand int

const (
	loops  hand = iota // it waits for a request
	quicks             // Quick has a request of it; Reply gives it back
	serves             // Serve, or whoever took it over from there
	nobody             // it has ended
)

// Conn is a connection of a reactor. As a net.Conn it is Serve's.
type Conn struct {
	reactor *Reactor // set once by Take
	fd      int
	remote  netip.AddrPort
	endsAt  atomic.Int64  // Unix time in ns: if it still waits then
	wakened chan struct{} // rings when the socket may have become ready; made when first served

	mu   sync.Mutex
	hand hand // under mu
	more bool // under mu: there may be something to read that no event will tell of

	// Of Serve's goroutine.
	early            []byte    // what the loop has read, before what the socket has
	between, yielded bool      // Serve waits for a request's first byte; it was told that none came
	kept             bool      // it will not come back to the loop
	readBy, writeBy  time.Time // deadlines; zero: none
}

var errWouldWait = errors.New("the socket is not ready")

// has notes an event. It returns true if the connection is the loop's to read.
func (c *Conn) has(ended bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hand != loops {
		c.more = true
		if c.hand == serves {
			c.ring()
		}
		return false
	}
	c.hand, c.more = quicks, ended // an end comes with the last bytes, and after them isn't told again
	return true
}

func (c *Conn) ring() {
	select {
	case c.wakened <- struct{}{}:
	default: // it rings already
	}
}

// step reads what has come, on the loop, and passes it on.
func (c *Conn) step(buffer []byte) {
	n, err := read(c.fd, buffer)
	switch {
	case errors.Is(err, errWouldWait):
		c.rest()
		return
	case err != nil || n == 0:
		c.end()
		return
	}
	r := c.reactor
	if n < len(buffer) && r.cfg.Quick != nil && r.request.Parse(buffer[:n]) && r.cfg.Quick(c, &r.request) {
		return
	}
	c.early = bytes.Clone(buffer[:n])
	c.pass()
	r.served.Go(func() {
		_ = r.cfg.Serve(c) // what went wrong is the client's
		if c.yielded && !c.kept {
			c.park()
		}
	})
}

// pass gives the connection to a goroutine that may wait for it.
func (c *Conn) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wakened == nil {
		c.wakened = make(chan struct{}, 1)
	}
	c.hand, c.between, c.yielded = serves, false, false
}

// park lets the connection wait for its next request.
func (c *Conn) park() {
	c.endsAt.Store(time.Now().Add(c.reactor.cfg.Idle).UnixNano())
	c.rest()
}

// rest gives the connection back to the loop.
func (c *Conn) rest() {
	c.mu.Lock()
	again := c.more
	c.more = false
	if again {
		c.hand = quicks
	} else {
		c.hand = loops
	}
	c.mu.Unlock()
	if again {
		c.reactor.readAgain(c)
	} else if c.reactor.stopping.Load() {
		c.reactor.wake()
	}
}

// expire ends the connection if it is the loop's. Not if something has come that the loop, on a machine that is full, hasn't
// got to yet: then it wasn't the client who was late.
func (c *Conn) expire() {
	c.mu.Lock()
	own := c.hand == loops && (c.reactor.stopping.Load() || !unread(c.fd))
	if own {
		c.hand = quicks
	}
	c.mu.Unlock()
	if own {
		c.end()
	}
}

// end closes the socket; whoever calls it has the connection.
func (c *Conn) end() {
	c.mu.Lock()
	over := c.hand == nobody
	c.hand = nobody
	c.mu.Unlock()
	if over {
		return
	}
	if c.reactor != nil {
		c.reactor.forget(c)
	}
	_ = unix.Close(c.fd) // nothing can be done about it
}

// Reply writes the answer to a quick request and lets the connection wait for the next. It
// doesn't wait: what the socket doesn't take at once is written by a goroutine. The answer may
// be used again when Reply has returned.
func (c *Conn) Reply(answer []byte) {
	n, err := write(c.fd, answer)
	if err == nil && n == len(answer) {
		c.park()
		return
	}
	if err != nil && !errors.Is(err, errWouldWait) {
		c.end()
		return
	}
	rest := bytes.Clone(answer[n:])
	c.pass()
	c.reactor.served.Go(func() {
		c.writeBy = time.Now().Add(c.reactor.cfg.Patience)
		if _, err := c.Write(rest); err != nil {
			c.end()
			return
		}
		c.park()
	})
}

// Between is to be told by Serve when it has answered a request and waits for the next one, and
// when that has begun. Who never tells keeps the connection until it ends.
func (c *Conn) Between(requests bool) { c.between = requests }

// Read implements net.Conn. Between two requests it returns io.EOF instead of waiting: then the
// connection waits on the loop.
func (c *Conn) Read(to []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(to, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	for {
		if past(c.readBy) {
			return 0, os.ErrDeadlineExceeded
		}
		c.mu.Lock()
		c.more = false
		c.mu.Unlock()
		n, err := read(c.fd, to)
		switch {
		case errors.Is(err, errWouldWait) && c.between && !c.kept:
			c.yielded = true
			return 0, io.EOF
		case errors.Is(err, errWouldWait):
			if !c.wait(c.readBy) {
				return 0, os.ErrDeadlineExceeded
			}
		case err != nil:
			return 0, &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: err}
		case n == 0 && len(to) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(from []byte) (int, error) {
	done := 0
	for done < len(from) {
		n, err := write(c.fd, from[done:])
		done += n
		switch {
		case errors.Is(err, errWouldWait):
			if past(c.writeBy) || !c.wait(c.writeBy) {
				return done, os.ErrDeadlineExceeded
			}
		case err != nil:
			return done, &net.OpError{Op: "write", Net: "tcp", Addr: c.RemoteAddr(), Err: err}
		}
	}
	return done, nil
}

func past(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// wait returns when the socket may have become ready, or false at the deadline.
func (c *Conn) wait(deadline time.Time) bool {
	if deadline.IsZero() {
		<-c.wakened
		return true
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-c.wakened:
		return true
	case <-timer.C:
		return false
	}
}

// Close implements net.Conn. When Serve closes it for want of a request, it waits on the loop,
// as soon as Serve has returned.
func (c *Conn) Close() error {
	if !c.yielded || c.kept {
		c.end()
	}
	return nil
}

// Keep is to be called by Serve before it leaves the connection to somebody for good, as a feed is left:
// it doesn't come back to the loop.
func (c *Conn) Keep() { c.kept = true }

// Detach gives the socket's descriptor away, to whom Serve has left the connection. The reactor knows nothing
// of it any more, and the connection is nothing: whatever the loop has read must have been read from it
// before. Errors: net.ErrClosed, if it has ended.
func (c *Conn) Detach() (fd int, err error) {
	c.mu.Lock()
	over := c.hand == nobody
	c.hand = nobody
	c.mu.Unlock()
	if over {
		return 0, net.ErrClosed
	}
	_ = unix.EpollCtl(c.reactor.epoll.FD(), unix.EPOLL_CTL_DEL, c.fd, nil) // it is there
	c.reactor.forget(c)
	return c.fd, nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr {
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(addrPort(name))
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. It counts for reads that begin after it.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy = t
	return nil
}

// SetWriteDeadline implements net.Conn. It counts for writes that begin after it.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy = t
	return nil
}
