package epoll

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// List is a kernel's list of sockets, and an eventfd in it that wakes who waits for it.
//
// Its owner waits as a goroutine, because the list itself is in Go's own: a thread that slept in it would
// keep its processor from everybody else for a while each time, and all the time where there is but one.
type List struct {
	fd    int
	alarm int
	file  *os.File // fd, for Go's poller
	wait  syscall.RawConn

	mu     sync.Mutex
	closed bool // under mu: the alarm's number may be another file's
}

// Alarm is the number of the event that tells of a Ring.
const Alarm = int32(-1)

// New returns an empty list. Errors: the system's, if it has no descriptors left or Go's poller can't wait for it.
func New() (*List, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: create an epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or Go's poller doesn't take it
		return nil, errors.Join(fmt.Errorf("epoll: have an epoll not wait: %w", err), unix.Close(fd))
	}
	l := &List{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	err = l.file.SetReadDeadline(time.Time{}) // fails if the poller hasn't taken it
	if err == nil {
		l.wait, err = l.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: wait for an epoll: %w", err), l.file.Close())
	}
	if l.alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: create an eventfd: %w", err), l.file.Close())
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: Alarm}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, l.alarm, &event); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: watch an eventfd: %w", err), l.Close())
	}
	return l, nil
}

// Add has a socket's events told, each once, under a number of the owner's.
func (l *List) Add(fd int, number uint32) error {
	return unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd), Pad: int32(number),
	})
}

// FD is the list's descriptor, for who adds to it in another way.
func (l *List) FD() int { return l.fd }

// Poll returns how many events there are now. It never waits, so it need not tell Go's scheduler that it might, as the
// calls of package unix do: in a rush that is a tenth of what it costs.
func (l *List) Poll(events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// Sleep waits until something comes, at the most so long; 0 is for ever. It returns how many events there
// are then.
func (l *List) Sleep(events []unix.EpollEvent, most time.Duration) (n int) {
	if most > 0 && l.file.SetReadDeadline(time.Now().Add(most)) != nil {
		return 0 // it is closed
	}
	// It ends with an event or with the time, neither of which is an error to the owner.
	_ = l.wait.Read(func(uintptr) bool {
		n = l.Poll(events)
		return n > 0
	})
	return n
}

// Ring wakes the owner. After Close it does nothing.
func (l *List) Ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		one := [8]byte{1}
		_, _ = unix.Write(l.alarm, one[:]) // full means that it rings already
	}
}

// Close may be called once.
func (l *List) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return errors.Join(unix.Close(l.alarm), l.file.Close())
}
