//go:build !linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Listen opens one port for all slots: one socket, from which every process accepts.
// SO_REUSEPORT shares out nothing here.
func Listen(ctx context.Context, address string, slots int) (*Port, error) {
	p := &Port{}
	if err := p.listen(ctx, &net.ListenConfig{}, address); err != nil {
		return nil, err
	}
	for range slots - 1 {
		fd, err := duplicateDescriptor(p.sockets[0].Fd())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("share the socket of %s: %w", address, err), p.Close())
		}
		p.sockets = append(p.sockets, os.NewFile(uintptr(fd), "listener"))
		p.urls = append(p.urls, p.urls[0])
	}
	return p, nil
}

func duplicateDescriptor(fd uintptr) (int, error) {
	return unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
}
