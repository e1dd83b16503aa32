package feed

import (
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"

	"onsale/bench/rawfeed"
)

// floor is what the feed's fan-out is measured against: a process with a list of sockets
// and a loop that writes the same bytes to each. There is nothing less that could tell
// everybody.
type floor struct {
	listener int
	sockets  []int
}

func (f *floor) do(t task) outcome {
	var o outcome
	var err error
	switch t.Do {
	case doListen:
		o.Address, err = f.listen()
	case doAccept:
		err = f.accept(t.Count)
	case doBeat:
		err = f.beat()
	case doSend:
		err = f.send(t.Bytes)
	default:
		err = fmt.Errorf("a floor has no task %q", t.Do)
	}
	if err != nil {
		o.Error = err.Error()
	}
	return o
}

func (f *floor) listen() (address string, err error) {
	if f.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return "", err
	}
	if err := unix.Bind(f.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	if err := unix.Listen(f.listener, unix.SOMAXCONN); err != nil {
		return "", err
	}
	at, err := unix.Getsockname(f.listener)
	if err != nil {
		return "", err
	}
	ip4 := at.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(ip4.Addr), uint16(ip4.Port)).String(), nil
}

func (f *floor) accept(count int) error {
	for len(f.sockets) < count {
		fd, _, err := unix.Accept4(f.listener, unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		default:
			f.sockets = append(f.sockets, fd)
		}
	}
	return nil
}

// beat has every client answer a ping, as a feed's have done within the last heartbeat. A client
// that has spoken acknowledges what comes next later and by itself, on a timer, and that is work
// for the machine: without it a bare socket, which only ever listens, would be told more cheaply.
func (f *floor) beat() error {
	if err := f.send(rawfeed.Ping); err != nil {
		return err
	}
	answer := make([]byte, len(rawfeed.Pong))
	for _, fd := range f.sockets {
		for have := 0; have < len(answer); {
			n, err := unix.Read(fd, answer[have:])
			switch {
			case err == unix.EINTR:
			case err != nil:
				return err
			case n == 0:
				return io.ErrUnexpectedEOF
			default:
				have += n
			}
		}
	}
	return nil
}

// send is the bare loop. The sockets' buffers are empty, so no write is a short one.
func (f *floor) send(frame []byte) error {
	for _, fd := range f.sockets {
		if n, err := unix.Write(fd, frame); n != len(frame) {
			return fmt.Errorf("wrote %d of %d bytes: %w", n, len(frame), err)
		}
	}
	return nil
}
