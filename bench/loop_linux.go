package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"onsale/bench/rawfeed"
	"onsale/internal/epoll"
	"onsale/internal/feedclient"
)

// A loop has every feed of a process in one goroutine, over one epoll, because a worker of a storm
// has so many thousand of them: a goroutine and a library's connection each would cost more than
// the server spends on them, on the machine that both share. What all of them receive is parsed
// and folded once.
type loop struct {
	list     *epoll.List
	path     string
	protocol string
	hosts    []string
	targets  []*unix.SockaddrInet4
	source   *unix.SockaddrInet4 // nil: as the kernel chooses
	abreast  int                 // how many feeds may be opening at once
	parser   feedclient.Parser
	trouble  func(error)   // hears why a feed could not be opened
	finished chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	asked   []func() // under mu: what others want done, in order
	closing bool     // under mu

	// Of the goroutine alone:
	lines   []*line
	unborn  []*line
	later   []*line // that wait for their time to be opened again
	opening int
	now     time.Time // when this turn's events came
	swept   time.Time
	buffer  []byte
	ready   []unix.EpollEvent
}

const (
	// turn is how long the loop sleeps at the most while feeds wait to be opened, idleTurn else.
	turn     = 20 * time.Millisecond
	idleTurn = time.Second
	// sweepEvery is how often it is looked for feeds that have died silently.
	sweepEvery = 10 * time.Second
	// readBytes is read at once: a delta and, mostly, a snapshot.
	readBytes = 64 << 10
	// turnEvents are handled before a buyer gets the processor.
	turnEvents = 256
)

// newLoop starts a loop for the feeds at a path of these hosts, which are taken in turn, in a subprotocol. The feeds
// come from the address source and those after it (rawfeed.Dial), "" for any.
func newLoop(hosts []string, path, protocol, source string, abreast int, trouble func(error)) (*loop, error) {
	l := &loop{path: path, protocol: protocol, hosts: hosts, abreast: abreast, trouble: trouble, finished: make(chan struct{}), now: time.Now(),
		buffer: make([]byte, readBytes), ready: make([]unix.EpollEvent, turnEvents)}
	for _, host := range hosts {
		a, err := net.ResolveTCPAddr("tcp4", host)
		if err != nil {
			return nil, fmt.Errorf("finding the feed: %w", err)
		}
		l.targets = append(l.targets, &unix.SockaddrInet4{Addr: [4]byte(a.IP.To4()), Port: a.Port})
	}
	if ip := net.ParseIP(source).To4(); ip != nil && isLoopback(l.targets) {
		l.source = &unix.SockaddrInet4{Addr: [4]byte(ip)}
	}
	var err error
	if l.list, err = epoll.New(); err != nil {
		return nil, fmt.Errorf("waiting for feeds: %w", err)
	}
	go func() { // ends with close, which waits for it
		defer close(l.finished)
		l.run()
	}()
	return l, nil
}

func isLoopback(targets []*unix.SockaddrInet4) bool {
	for _, t := range targets {
		if t.Addr[0] != 127 {
			return false
		}
	}
	return true
}

// close ends every feed and the goroutine, and waits for it.
func (l *loop) close(ctx context.Context) error {
	l.ask(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closing = true
	})
	select {
	case <-l.finished:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the feeds don't end: %w", ctx.Err())
	}
}

// follow opens a watch's feed, and opens it again when it ends, until it is left.
func (l *loop) follow(w *watch) {
	ln := &line{loop: l, watch: w, fd: -1}
	w.leave = func() { l.ask(ln.leave) }
	l.ask(func() {
		ln.slot = int32(len(l.lines))
		l.lines = append(l.lines, ln)
		l.unborn = append(l.unborn, ln)
	})
}

// ask has the loop's goroutine do something, in the order asked.
func (l *loop) ask(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, do)
	if len(l.asked) == 1 && !l.closing {
		l.list.Ring()
	}
}

func (l *loop) run() {
	for !l.turn() {
		runtime.Gosched() // a busy loop would keep the buyers waiting for a whole slice
	}
}

// turn handles what has come, or what is due. It returns true when the loop is closed.
func (l *loop) turn() (over bool) {
	patience := idleTurn
	if len(l.unborn)+len(l.later) > 0 {
		patience = turn
	}
	n := l.list.Poll(l.ready)
	if n == 0 {
		n = l.list.Sleep(l.ready, patience)
	}
	l.now = time.Now()
	for _, e := range l.ready[:n] {
		l.handle(e.Fd)
	}
	l.work()
	return l.hasEnded()
}

func (l *loop) handle(slot int32) {
	if slot == epoll.Alarm {
		return
	}
	switch ln := l.lines[slot]; ln.state {
	case lineClosed: // in this very turn
	case lineConnecting:
		ln.connected()
	default:
		ln.read()
	}
}

// work does what was asked for, and what is due by the clock.
func (l *loop) work() {
	l.mu.Lock()
	asked := l.asked
	l.asked = nil
	l.mu.Unlock()
	for _, do := range asked { // without mu: who asks may hold a lock that this takes
		do()
	}
	waiting := l.later[:0]
	for _, ln := range l.later {
		if ln.openAt.After(l.now) {
			waiting = append(waiting, ln)
		} else {
			l.open(ln, ln.openAt)
		}
	}
	l.later = waiting
	for len(l.unborn) > 0 && l.opening < l.abreast {
		next := l.unborn[0]
		l.unborn = l.unborn[1:]
		if !next.left && next.state == lineClosed {
			next.connect()
		}
	}
	if l.now.Sub(l.swept) > sweepEvery {
		l.sweep()
	}
}

// sweep ends the feeds that have died without a word: a server pings.
func (l *loop) sweep() {
	l.swept = l.now
	for _, ln := range l.lines {
		if ln.state != lineClosed && l.now.Sub(ln.heard) > feedSilence {
			ln.lost(errors.New("nothing was heard of the feed"))
		}
	}
}

// hasEnded ends every feed if the loop is to be closed.
func (l *loop) hasEnded() bool {
	l.mu.Lock()
	closing := l.closing
	l.mu.Unlock()
	if !closing {
		return false
	}
	for _, ln := range l.lines {
		if ln.state == lineLive {
			_ = rawfeed.Write(ln.fd, rawfeed.Goodbye) // it is gone all the same
		}
		ln.end()
	}
	_ = l.list.Close() // nothing was kept in it
	return true
}

// open opens a line again as soon as not too many are opening. It is due, as it is for a browser, which has nobody
// to wait for.
func (l *loop) open(ln *line, due time.Time) {
	if ln.due.IsZero() {
		ln.due = due
	}
	l.unborn = append(l.unborn, ln)
}

// again opens a line after a random time around the given one.
func (l *loop) again(ln *line, around time.Duration) {
	ln.openAt = l.now.Add(around/2 + rand.N(around))
	l.later = append(l.later, ln)
}
