package reactor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is a kernel's list of sockets, and an eventfd in it that wakes who waits for it.
//
// Its owner waits as a goroutine, because the list itself is in Go's own: a thread that slept in it would
// keep its processor from everybody else for a while each time, and all the time where there is but one.
type epoll struct {
	fd    int
	alarm int
	file  *os.File // fd, for Go's poller
	wait  syscall.RawConn

	mu     sync.Mutex
	closed bool // under mu: the alarm's number may be another file's
}

func newEpoll() (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("reactor: create an epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or Go's poller doesn't take it
		return nil, errors.Join(fmt.Errorf("reactor: have an epoll not wait: %w", err), unix.Close(fd))
	}
	e := &epoll{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	err = e.file.SetReadDeadline(time.Time{}) // fails if the poller hasn't taken it
	if err == nil {
		e.wait, err = e.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reactor: wait for an epoll: %w", err), e.file.Close())
	}
	if e.alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("reactor: create an eventfd: %w", err), e.file.Close())
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(e.alarm)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, e.alarm, &event); err != nil {
		return nil, errors.Join(fmt.Errorf("reactor: watch an eventfd: %w", err), e.close())
	}
	return e, nil
}

// add has a socket's events told, each once, under a number of the owner's.
func (e *epoll) add(fd int, number uint32) error {
	return unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd), Pad: int32(number),
	})
}

// sleep waits until something comes, at the most so long; 0 is for ever. It returns how many events there
// are then.
func (e *epoll) sleep(events []unix.EpollEvent, most time.Duration) (n int) {
	if most > 0 && e.file.SetReadDeadline(time.Now().Add(most)) != nil {
		return 0 // it is closed
	}
	// It ends with an event or with the time, neither of which is an error to the owner.
	_ = e.wait.Read(func(uintptr) bool {
		n = poll(e.fd, events)
		return n > 0
	})
	return n
}

// ring wakes the owner. After close it does nothing.
func (e *epoll) ring() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		one := [8]byte{1}
		_, _ = unix.Write(e.alarm, one[:]) // full means that it rings already
	}
}

// close may be called once.
func (e *epoll) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return errors.Join(unix.Close(e.alarm), e.file.Close())
}
