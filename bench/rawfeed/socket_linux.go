package rawfeed

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Dial begins to connect a socket, which an epoll then tells of under a number of the owner's: Dialed
// is due. source is where it comes from, nil for as the kernel chooses; each 10,000 numbers come from the next
// address. fd is -1 if there is no socket; after any other error the owner closes it.
func Dial(epoll int, number int32, source, target *unix.SockaddrInet4) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("making a socket: %w", err)
	}
	if source != nil {
		// Ports are few: one is chosen only when both ends are known, so that others may have the same.
		from := *source
		from.Addr[3] += byte(max(number, -number) / portsEach)
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, &from))
	}
	if err == nil {
		if err = unix.Connect(fd, target); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	}
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: number})
	}
	if err != nil {
		err = fmt.Errorf("connecting: %w", err)
	}
	return fd, err
}

// Dialed says how connecting ended; from then on the epoll tells of what comes. If greeting has
// anything in it, that is written first.
func Dialed(epoll, fd int, number int32, greeting []byte) error {
	failure, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failure != 0 {
		err = unix.Errno(failure)
	}
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: number})
	}
	if err == nil && len(greeting) > 0 {
		err = Write(fd, greeting)
	}
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	return nil
}

// Write writes a few bytes, which a socket that is alive takes at once.
func Write(fd int, p []byte) error {
	n, err := unix.Write(fd, p)
	if err == nil && n < len(p) {
		err = unix.EAGAIN
	}
	return err
}

// Read reads what has come, which may be nothing. Errors: io.EOF, or the system's.
func Read(fd int, buffer []byte) (n int, err error) {
	n, err = unix.Read(fd, buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Abandon has the close that follows say nothing to the other side but that it is over, as when a machine
// loses power: nothing waits for the last packets.
func Abandon(fd int) {
	// It can't fail on an open socket; if it did, the server would be told of the end, and that is all.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
