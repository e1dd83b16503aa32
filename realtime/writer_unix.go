//go:build unix

package realtime

import (
	"errors"
	"net"
	"syscall"
)

// tryOnce writes once to a non-blocking socket. It always returns true, which
// tells the runtime not to wait until the socket takes more.
func (w *writer) tryOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.rest)
		switch {
		case err == nil:
			w.rest = w.rest[n:]
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
		default:
			w.err = err
		}
		return true
	}
}

// rawConn returns the socket under c, or nil if c can't be written to without waiting.
func rawConn(c net.Conn) syscall.RawConn {
	socket, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil // it is closed; the next write through c says so
	}
	return raw
}
