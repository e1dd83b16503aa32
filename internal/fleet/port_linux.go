//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens one port for all slots: a socket each, among which the kernel shares out
// what comes (SO_REUSEPORT), so that no two processes wait for the same queue. Port 0
// takes a free one. A port that anyone else listens on is refused, though the kernel
// would let us share it with another fleet of the same user.
func Listen(ctx context.Context, address string, slots int) (*Port, error) {
	alone, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := alone.Close(); err != nil {
		return nil, fmt.Errorf("close the socket that tried %s: %w", address, err)
	}
	shared := &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, failed)
	}}
	p := &Port{}
	for range slots {
		if err := p.listen(ctx, shared, address); err != nil {
			return nil, errors.Join(err, p.Close())
		}
		address = strings.TrimPrefix(p.URL(0), "http://") // the number that port 0 has become
	}
	return p, nil
}

func duplicateDescriptor(fd uintptr) (int, error) {
	return unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
}
