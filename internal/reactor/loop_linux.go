package reactor

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"onsale/internal/epoll"
)

const (
	// eventsMost is how many sockets a look at the kernel's list returns.
	eventsMost = 256
	// sweepEvery is how often the loop looks for connections that have waited too long.
	sweepEvery = time.Second
	// forceTime is how long those who have a connection may take to find that it was ended.
	forceTime = 500 * time.Millisecond
)

// Reactor has the connections. Safe for concurrent use.
type Reactor struct {
	cfg   Config
	epoll *epoll.List

	stopping atomic.Bool
	sleeping atomic.Bool   // the loop is about to wait, or waits
	ended    chan struct{} // closed when the loop has ended
	close    func() error  // the epoll's; once
	served   sync.WaitGroup
	request  Request // the loop's: what it offers Quick

	mu    sync.Mutex
	conns map[int]*Conn // under mu: by descriptor
	again []*Conn       // under mu: the loop's, with something to read that no event will tell of
}

// New returns a reactor whose loop runs until Stop. Errors: the system's, if it has no
// descriptors left.
func New(cfg Config) (*Reactor, error) {
	list, err := epoll.New()
	if err != nil {
		return nil, err
	}
	r := &Reactor{cfg: cfg, epoll: list, ended: make(chan struct{}), conns: map[int]*Conn{}}
	r.close = sync.OnceValue(list.Close)
	go r.run() // Stop waits for ended
	return r, nil
}

// Take has a connection served. One that is not from Listen goes to Serve at once, and for good.
func (r *Reactor) Take(c net.Conn) {
	own, ok := c.(*Conn)
	if !ok {
		r.served.Go(func() { _ = r.cfg.Serve(c) }) // what went wrong is the client's
		return
	}
	own.reactor = r
	own.endsAt.Store(time.Now().Add(r.cfg.First).UnixNano())
	r.mu.Lock()
	late := r.stopping.Load() // then the loop may have ended
	if !late {
		r.conns[own.fd] = own
	}
	r.mu.Unlock()
	if late {
		own.end()
		return
	}
	if r.epoll.Add(own.fd, 0) != nil {
		own.end()
	}
}

// Stop ends what waits for a request, lets what is under way end, and closes by force what is
// left when ctx ends. Stopping again is no error. Errors: of connections that are in use even so.
func (r *Reactor) Stop(ctx context.Context) error {
	if r.stopping.CompareAndSwap(false, true) {
		r.wake()
	}
	select {
	case <-r.ended:
	case <-ctx.Done():
		r.mu.Lock()
		for fd := range r.conns {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR) // whoever has it finds it ended
		}
		r.mu.Unlock()
		select {
		case <-r.ended:
		case <-time.After(forceTime):
			r.mu.Lock()
			defer r.mu.Unlock()
			return fmt.Errorf("reactor: %d connections are still in use: %w", len(r.conns), ctx.Err())
		}
	}
	r.served.Wait()
	return r.close()
}

// run is the loop. It ends when the reactor is stopped and the last connection has ended.
func (r *Reactor) run() {
	defer close(r.ended)
	events, buffer := make([]unix.EpollEvent, eventsMost), make([]byte, readSize)
	var ready []*Conn
	swept := time.Now()
	for {
		ready = r.ready(events, ready[:0])
		for _, c := range ready {
			c.step(buffer)
		}
		if now := time.Now(); now.Sub(swept) >= sweepEvery || r.stopping.Load() {
			swept = now
			if left := r.sweep(now); left == 0 && r.stopping.Load() {
				return
			}
		}
		runtime.Gosched() // the loop has no more right to a processor than who works for it
	}
}

// ready waits until there is something to do and returns the connections that it is about.
func (r *Reactor) ready(events []unix.EpollEvent, to []*Conn) []*Conn {
	n := r.epoll.Poll(events)
	if n == 0 {
		r.sleeping.Store(true)
		r.mu.Lock()
		none := len(r.again) == 0
		r.mu.Unlock()
		if none {
			n = r.epoll.Sleep(events, sweepEvery)
		}
		r.sleeping.Store(false)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	to = append(to, r.again...)
	r.again = r.again[:0]
	for i := range n {
		e := &events[i]
		c := r.conns[int(e.Fd)]
		if c != nil && c.has(e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0) {
			to = append(to, c)
		}
	}
	return to
}

// sweep ends the connections that have waited for too long, or all that wait if the reactor
// stops. It returns how many are left.
func (r *Reactor) sweep(now time.Time) int {
	var old []*Conn
	r.mu.Lock()
	for _, c := range r.conns {
		if r.stopping.Load() || c.endsAt.Load() <= now.UnixNano() {
			old = append(old, c)
		}
	}
	r.mu.Unlock()
	for _, c := range old {
		c.expire()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// readAgain has the loop read a connection as if it had been told to.
func (r *Reactor) readAgain(c *Conn) {
	r.mu.Lock()
	r.again = append(r.again, c)
	r.mu.Unlock()
	if r.sleeping.Load() {
		r.wake()
	}
}

func (r *Reactor) wake() { r.epoll.Ring() }

// forget removes a connection that has ended or was taken over.
func (r *Reactor) forget(c *Conn) {
	r.mu.Lock()
	delete(r.conns, c.fd)
	last := len(r.conns) == 0
	r.mu.Unlock()
	if r.cfg.Closed != nil {
		r.cfg.Closed()
	}
	if last && r.stopping.Load() {
		r.wake()
	}
}
