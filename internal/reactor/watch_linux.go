package reactor

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"onsale/internal/epoll"
)

const (
	// watchBuffer is what the loop's owners read into, all of them into the same.
	watchBuffer = 16 << 10
	// gathering is how long a loop that slept lets more come: the answers to pings come one by one, and to
	// be woken costs more than to read them.
	gathering = 10 * time.Millisecond
)

// Watch has sockets on its loop. Safe for concurrent use.
type Watch struct {
	epoll *epoll.List

	stopping atomic.Bool
	ended    chan struct{} // closed when the loop has ended
	close    func() error  // the epoll's; once

	mu      sync.Mutex
	sockets []*Socket // under mu: by descriptor; nil where there is none
	added   uint32    // under mu: how many ever were, which numbers them
	fresh   []turn    // under mu: to be called though no event tells
}

// turn is a call that is due.
type turn struct {
	socket *Socket
	what   Ready
}

// NewWatch returns a watch whose loop runs until Stop. Errors: the system's, if it has no
// descriptors left; errors.ErrUnsupported where there is no epoll.
func NewWatch() (*Watch, error) {
	list, err := epoll.New()
	if err != nil {
		return nil, err
	}
	w := &Watch{epoll: list, ended: make(chan struct{})}
	w.close = sync.OnceValue(list.Close)
	go w.run() // Stop waits for ended
	return w, nil
}

// Add has the socket's owner told of it. early has it called at once, as for something to read: it has
// some already. The owner may be called before Add has returned. After an error it never is: the system
// watches no more sockets.
func (w *Watch) Add(s *Socket, early bool) error {
	w.mu.Lock()
	for len(w.sockets) <= s.fd {
		w.sockets = append(w.sockets, nil)
	}
	w.added++
	s.number = w.added
	w.sockets[s.fd] = s
	w.mu.Unlock()
	if err := w.epoll.Add(s.fd, s.number); err != nil {
		return fmt.Errorf("reactor: watch a socket: %w", err)
	}
	if early {
		w.mu.Lock()
		w.fresh = append(w.fresh, turn{s, Readable})
		w.mu.Unlock()
		w.wake()
	}
	return nil
}

// Close ends the socket. It is for the owner's Ready to call, or for who failed to add it; nobody may use
// the socket any more.
func (w *Watch) Close(s *Socket) {
	w.mu.Lock()
	if w.isThere(s) {
		w.sockets[s.fd] = nil
	}
	w.mu.Unlock()
	_ = unix.Close(s.fd) // nothing can be done about it
}

func (w *Watch) isThere(s *Socket) bool { return s.fd < len(w.sockets) && w.sockets[s.fd] == s }

// Stop ends the loop. Nobody is told of anything any more, so whoever stops it has ended its sockets.
// Stopping again is no error. Errors: ctx's, if an owner doesn't return.
func (w *Watch) Stop(ctx context.Context) error {
	if w.stopping.CompareAndSwap(false, true) {
		w.wake()
	}
	select {
	case <-w.ended:
		return w.close()
	case <-ctx.Done():
		return fmt.Errorf("reactor: a watch is still busy: %w", ctx.Err())
	}
}

func (w *Watch) wake() { w.epoll.Ring() }

// run is the loop.
func (w *Watch) run() {
	defer close(w.ended)
	events, buffer := make([]unix.EpollEvent, eventsMost), make([]byte, watchBuffer)
	var turns, again []turn
	for !w.stopping.Load() {
		n := w.epoll.Poll(events)
		if n == 0 && len(again) == 0 {
			n = w.sleep(events)
		}
		turns = w.due(events[:n], append(turns[:0], again...))
		clear(again)
		again = again[:0]
		for _, t := range turns {
			if w.has(t.socket) && t.socket.owner.Ready(t.what, buffer) {
				again = append(again, t)
			}
		}
		clear(turns) // who has ended is forgotten
		runtime.Gosched()
	}
}

// sleep waits until something comes, and for what comes soon after it.
func (w *Watch) sleep(events []unix.EpollEvent) int {
	n := w.epoll.Sleep(events, 0)
	if n == len(events) {
		return n
	}
	time.Sleep(gathering)
	return n + w.epoll.Poll(events[n:])
}

// has reports whether the socket is still open: it may have ended since it was due. Only the loop ends
// sockets, so it stays so until the loop goes on.
func (w *Watch) has(s *Socket) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isThere(s)
}

// due adds the turns that events tell of, and those that nothing tells of. An event of a socket that was
// closed has another number than the one that has its descriptor now: it may come as long as someone else
// has the closed socket open, such as a child that is just being started.
func (w *Watch) due(events []unix.EpollEvent, to []turn) []turn {
	w.mu.Lock()
	defer w.mu.Unlock()
	to = append(to, w.fresh...)
	clear(w.fresh)
	w.fresh = w.fresh[:0]
	for i := range events {
		e := &events[i]
		if e.Fd == epoll.Alarm {
			continue
		}
		if s := w.sockets[e.Fd]; s != nil && s.number == uint32(e.Pad) {
			to = append(to, turn{s, readyOf(e.Events)})
		}
	}
	return to
}

func readyOf(events uint32) (what Ready) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP) != 0 {
		what |= Readable
	}
	if events&unix.EPOLLOUT != 0 {
		what |= Writable
	}
	if events&unix.EPOLLRDHUP != 0 {
		what |= Ending
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		what |= Ended
	}
	return what
}
