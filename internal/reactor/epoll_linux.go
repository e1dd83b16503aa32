package reactor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// newEpoll returns a kernel's list of sockets, and an eventfd in it that wakes who waits for it.
func newEpoll() (epoll, alarm int, err error) {
	if epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return 0, 0, fmt.Errorf("reactor: create an epoll: %w", err)
	}
	if alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return 0, 0, errors.Join(fmt.Errorf("reactor: create an eventfd: %w", err), unix.Close(epoll))
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(alarm)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, alarm, &event); err != nil {
		return 0, 0, errors.Join(fmt.Errorf("reactor: watch an eventfd: %w", err), unix.Close(alarm), unix.Close(epoll))
	}
	return epoll, alarm, nil
}

// ring wakes the loop that has the alarm.
func ring(alarm int) {
	one := [8]byte{1}
	_, _ = unix.Write(alarm, one[:]) // full means that it rings already, and no loop that there is none to wake
}
