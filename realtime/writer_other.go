//go:build !unix

package realtime

import (
	"net"
	"syscall"
)

// tryOnce writes nothing: only on Unix is there a write that doesn't wait.
func (w *writer) tryOnce(uintptr) bool { return true }

// rawConn returns nil: every frame is written by a goroutine that may wait.
func rawConn(net.Conn) syscall.RawConn { return nil }
