package realtime

import (
	"net"
	"syscall"
	"time"
)

// readBufferSize is what a threaded line reads into; a client has little to say.
const readBufferSize = 512

// threaded is a line with a goroutine that reads. When a client doesn't take a frame at once it gets
// another one, its drain, which waits for it.
type threaded struct {
	conn   *conn
	socket net.Conn
	raw    syscall.RawConn // socket's; nil if it can't be written to without waiting
	owner  net.Conn        // closes socket, exactly once; may be the same
}

func newThreaded(c *conn, socket, owner net.Conn) *threaded {
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(c.hub.gateway.cfg.SocketBuffer) // a kernel that refuses keeps more; that is all
	}
	return &threaded{conn: c, socket: socket, raw: rawConn(socket), owner: owner}
}

func (t *threaded) begin(early []byte) error {
	go t.read(early) // counted by who began; leave says that it has ended
	return nil
}

// read reads until the client is gone.
func (t *threaded) read(early []byte) {
	defer t.conn.leave()
	if t.conn.hear(early) {
		return
	}
	buffer := make([]byte, readBufferSize)
	for {
		n, err := t.socket.Read(buffer)
		if t.conn.hear(buffer[:n]) || err != nil {
			return
		}
	}
}

func (t *threaded) offer(w *writer, p []byte) (rest []byte, err error) { return w.offer(t.raw, p) }

// taken says nothing: who is asked answers.
func (t *threaded) taken() bool { return false }

// unread is false, since its goroutine reads all that comes.
func (t *threaded) unread() bool { return false }

func (t *threaded) drain(rest []byte) {
	c := t.conn
	c.hub.gateway.conns.Add(1) // the reader, which hasn't left, keeps it above zero
	go func() {
		defer c.hub.gateway.conns.Done()
		_, err := t.socket.Write(rest)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended {
			_ = t.owner.Close() // the reader left it to us
			return
		}
		c.drained(err)
	}()
}

func (t *threaded) cut() { _ = t.socket.SetDeadline(past) } // the reader and the drain end; the reader does the rest

// close leaves the socket to the drain if one is under way: the last to use it closes it.
func (t *threaded) close() {
	if t.conn.draining {
		_ = t.socket.SetWriteDeadline(past) // or it was closed by the peer already
		return
	}
	_ = t.owner.Close() // there is nobody left to tell
}

// past is a deadline that ends whatever waits.
var past = time.Unix(1, 0)
