package realtime

import (
	"net"

	"onsale/internal/reactor"
)

// line is the way to a client: its socket, and who reads that. There are two, and a connection is the
// same on both: on Linux a line costs a few words, and one loop reads them all (looped); elsewhere, and
// if the HTTP server hides its sockets, each has a goroutine that waits (threaded).
//
// Whoever reads gives all that comes to conn.hear, and calls conn.leave once when it is over. That alone
// closes the socket, under the connection's mu: so who has mu, and finds that the connection hasn't
// ended, has an open socket, and never one that got its number after it. All but begin is called under mu.
type line interface {
	// begin has the client heard from now on, and first what it has sent early. After an error it isn't.
	begin(early []byte) error
	// offer writes what the client takes at once, and returns the rest. It doesn't keep p.
	offer(w *writer, p []byte) (rest []byte, err error)
	// drain has the rest written, which stays as it is, as soon as the client takes it. Then, or if it can't
	// be, conn.drained is called. Nothing is offered meanwhile.
	drain(rest []byte)
	// taken reports whether it is known that all that was offered has reached the client's machine.
	taken() bool
	// unread reports whether it is known that the client has said something which nobody has read yet.
	unread() bool
	// cut ends reading and writing at once, whoever waits for it.
	cut()
	// close ends the socket: leave calls it, last of all.
	close()
}

// lineTo returns the line that a socket is. owner closes it, if need be.
func (g *Gateway) lineTo(c *conn, socket, owner net.Conn) (line, error) {
	if kept, ok := socket.(*reactor.Conn); ok && g.watch != nil {
		fd, err := kept.Detach()
		if err != nil {
			return nil, err
		}
		return newLooped(c, fd), nil
	}
	return newThreaded(c, socket, owner), nil
}
