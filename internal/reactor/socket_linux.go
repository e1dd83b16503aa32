package reactor

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Socket is a connection that is on a Watch, or will be. It costs its owner nothing beside this struct.
// Nobody may use it once it is closed: its owner sees to that.
type Socket struct {
	owner  Owner
	fd     int
	number uint32 // tells it from others that have its descriptor before or after it; set by Watch.Add
}

// NewSocket returns what Conn.Detach gave away as a socket of the owner's.
func NewSocket(fd int, owner Owner) *Socket { return &Socket{owner: owner, fd: fd} }

// Read reads what has come and doesn't wait: it returns 0 and no error if that is nothing. ended means
// that the peer sends no more.
func (s *Socket) Read(to []byte) (n int, ended bool, err error) {
	n, err = read(s.fd, to)
	if errors.Is(err, errWouldWait) {
		return 0, false, nil
	}
	return n, err == nil && n == 0, err
}

// Offer writes as much as the socket takes at once and returns the rest. If there is one, the owner is
// told when more may be offered.
func (s *Socket) Offer(from []byte) (rest []byte, err error) {
	for len(from) > 0 {
		n, err := write(s.fd, from)
		if errors.Is(err, errWouldWait) {
			return from, nil
		}
		if err != nil {
			return from, err
		}
		from = from[n:] // until it is refused: only then is its owner told
	}
	return nil, nil
}

// Taken reports whether the peer's machine has acknowledged all that was written.
func (s *Socket) Taken() bool {
	waiting, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
	return err == nil && waiting == 0
}

// Unread reports whether something has come that the owner hasn't been told of, or hasn't read.
func (s *Socket) Unread() bool { return unread(s.fd) }

func unread(fd int) bool {
	waiting, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && waiting > 0
}

// Keep bounds what the kernel keeps for a peer that doesn't read.
func (s *Socket) Keep(bytes int) error {
	return unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes)
}

// Shut ends reading and writing at once, so that the owner is told that it has ended.
func (s *Socket) Shut() { _ = unix.Shutdown(s.fd, unix.SHUT_RDWR) } // one that has ended is told of too
