package reactor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen returns a listener whose connections a reactor can keep on its loop. Closing it closes
// the one that was given.
func Listen(inner *net.TCPListener) (net.Listener, error) {
	file, err := inner.File() // net's own lets nobody else wait for it
	if err != nil {
		return nil, fmt.Errorf("reactor: %w", err)
	}
	raw, err := file.SyscallConn()
	var set error
	if err == nil {
		err = raw.Control(func(fd uintptr) { // connections inherit both
			if set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); set == nil {
				set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
			}
		})
	}
	if err = errors.Join(err, set); err != nil {
		return nil, errors.Join(fmt.Errorf("reactor: set up the listening socket: %w", err), file.Close())
	}
	return &listener{TCPListener: inner, file: file, raw: raw}, nil
}

// listener accepts descriptors that Go's own poller doesn't know: it would be woken for every
// request in vain.
type listener struct {
	*net.TCPListener
	file *os.File // the same socket
	raw  syscall.RawConn
}

// Accept implements net.Listener. Errors are as net.TCPListener's.
func (l *listener) Accept() (net.Conn, error) {
	var fd int
	var from unix.Sockaddr
	var failed error
	err := l.raw.Read(func(listening uintptr) bool {
		fd, from, failed = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(failed, unix.EAGAIN)
	})
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil, net.ErrClosed
	case err == nil && failed == nil:
		return &Conn{fd: fd, remote: addrPort(from)}, nil
	case err == nil:
		err = os.NewSyscallError("accept4", failed)
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
}

// Close implements net.Listener.
func (l *listener) Close() error { return errors.Join(l.TCPListener.Close(), l.file.Close()) }

func addrPort(name unix.Sockaddr) netip.AddrPort {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}
