package realtime

import "onsale/internal/reactor"

// looped is a line on the gateway's loop: no goroutine, no buffer, no timer. What a slow client
// hasn't taken is the rest of a frame that all others got too, so it costs nothing either.
type looped struct {
	conn   *conn
	socket *reactor.Socket
	early  []byte // the loop's, after begin: heard before what the socket has
	rest   []byte // under the conn's mu: while it drains
}

func newLooped(c *conn, fd int) *looped {
	l := &looped{conn: c}
	l.socket = reactor.NewSocket(fd, l)
	_ = l.socket.Keep(c.hub.gateway.cfg.SocketBuffer) // a kernel that refuses keeps more; that is all
	return l
}

func (l *looped) begin(early []byte) error {
	l.early = early
	return l.conn.hub.gateway.watch.Add(l.socket, len(early) > 0)
}

// Ready implements reactor.Owner.
func (l *looped) Ready(what reactor.Ready, buffer []byte) (again bool) {
	if what&reactor.Ended != 0 {
		l.conn.leave()
		return false
	}
	if what&reactor.Writable != 0 {
		l.goOn()
	}
	if what&reactor.Readable == 0 {
		return false
	}
	early := l.early
	l.early = nil
	if l.conn.hear(early) {
		l.conn.leave()
		return false
	}
	n, ended, err := l.socket.Read(buffer)
	if ended || err != nil || l.conn.hear(buffer[:n]) {
		l.conn.leave()
		return false
	}
	return n == len(buffer) || n > 0 && what&reactor.Ending != 0
}

// goOn writes what was left, as far as the socket takes it now.
func (l *looped) goOn() {
	c := l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining || c.ended {
		return
	}
	rest, err := l.socket.Offer(l.rest)
	if len(rest) > 0 && err == nil {
		l.rest = rest
		return
	}
	l.rest = nil
	c.drained(err)
}

func (l *looped) offer(_ *writer, p []byte) (rest []byte, err error) { return l.socket.Offer(p) }
func (l *looped) taken() bool                                        { return l.socket.Taken() }
func (l *looped) unread() bool                                       { return l.socket.Unread() }
func (l *looped) drain(rest []byte)                                  { l.rest = rest }
func (l *looped) cut()                                               { l.socket.Shut() }

func (l *looped) close() {
	l.rest = nil
	l.conn.hub.gateway.watch.Close(l.socket)
}
