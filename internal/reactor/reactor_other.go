//go:build !linux

package reactor

import (
	"context"
	"errors"
	"net"
)

// Reactor is none: there is one on Linux only.
type Reactor struct{}

// Conn is none.
type Conn struct{ net.Conn }

// New refuses with errors.ErrUnsupported.
func New(Config) (*Reactor, error) { return nil, errors.ErrUnsupported }

// Listen refuses with errors.ErrUnsupported.
func Listen(*net.TCPListener) (net.Listener, error) { return nil, errors.ErrUnsupported }

// Take is never called.
func (r *Reactor) Take(net.Conn) {}

// Stop is never called.
func (r *Reactor) Stop(context.Context) error { return nil }

// Reply is never called.
func (c *Conn) Reply([]byte) {}

// Between is never called.
func (c *Conn) Between(bool) {}

// Taken is never called.
func (s *Socket) Taken() bool { return false }

// Unread is never called.
func (s *Socket) Unread() bool { return false }

// Keep is never called.
func (c *Conn) Keep() {}

// Detach is never called.
func (c *Conn) Detach() (int, error) { return 0, errors.ErrUnsupported }

// Watch is none.
type Watch struct{}

// NewWatch refuses with errors.ErrUnsupported.
func NewWatch() (*Watch, error) { return nil, errors.ErrUnsupported }

// Add is never called.
func (w *Watch) Add(*Socket, bool) error { return errors.ErrUnsupported }

// Close is never called.
func (w *Watch) Close(*Socket) {}

// Stop is never called.
func (w *Watch) Stop(context.Context) error { return nil }

// Socket is none.
type Socket struct{}

// NewSocket is never called.
func NewSocket(int, Owner) *Socket { return &Socket{} }

// Read is never called.
func (s *Socket) Read([]byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }

// Offer is never called.
func (s *Socket) Offer(from []byte) ([]byte, error) { return from, errors.ErrUnsupported }

// Keep is never called.
func (s *Socket) Keep(int) error { return errors.ErrUnsupported }

// Shut is never called.
func (s *Socket) Shut() {}
