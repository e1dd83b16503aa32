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
