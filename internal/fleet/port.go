package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// Port is what a fleet listens on: one listening socket a slot. They are opened once,
// by the process that supervises, and outlive every process that accepts from them: a
// connection that waits in a slot's queue while its process is replaced, or has died,
// is served by the next one. Nobody is refused in between.
type Port struct {
	sockets []*os.File // by slot; never accepted from here
	urls    []string   // by slot, as http://host:port
}

// URL is where the slot's process is found.
func (p *Port) URL(slot int) string { return p.urls[slot] }

// Close gives the sockets up. What processes have inherited stays open there.
func (p *Port) Close() error {
	var errs []error
	for _, s := range p.sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// ListenEach opens a port for each slot: the address's for the first, the next number
// for the next; if it is 0, any free one for each.
func ListenEach(ctx context.Context, address string, slots int) (*Port, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no HOST:PORT: %w", address, err)
	}
	first, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q is no port's number: %w", text, err)
	}
	p := &Port{}
	for slot := range slots {
		number := first
		if number > 0 {
			number += uint64(slot)
		}
		err := p.listen(ctx, &net.ListenConfig{}, net.JoinHostPort(host, strconv.FormatUint(number, 10)))
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// listen opens the next slot's socket.
func (p *Port) listen(ctx context.Context, lc *net.ListenConfig, address string) error {
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("%s is no TCP port: %T", address, l)
	}
	socket, err := duplicate(tcp)
	// Our runtime would be woken by every connection if it still watched the socket.
	if err := errors.Join(err, l.Close()); err != nil {
		return fmt.Errorf("keep the socket of %s: %w", address, err)
	}
	p.sockets = append(p.sockets, socket)
	p.urls = append(p.urls, "http://"+l.Addr().String())
	return nil
}

// duplicate returns a file of the socket that leaves it non-blocking. Whether a socket
// blocks is one flag for all processes that have it; TCPListener.File's files clear it
// when they are handed to a child, and the process that accepts meanwhile would hang.
func duplicate(l *net.TCPListener) (*os.File, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var socket *os.File
	var failed error
	if err := raw.Control(func(fd uintptr) {
		var n int
		if n, failed = duplicateDescriptor(fd); failed == nil {
			socket = os.NewFile(uintptr(n), "listener")
		}
	}); err != nil {
		return nil, err
	}
	return socket, failed
}
