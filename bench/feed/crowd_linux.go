package feed

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"onsale/internal/feedclient"
)

// crowd is some thousand clients in one process, with one goroutine: a loop over epoll.
// A client is a few words (client_linux.go), and what all of them receive is parsed and
// folded once, because what the crowd costs is taken from the server: they share the
// machine. All of its fields are the loop's.
type crowd struct {
	epoll    int
	wake     int // an eventfd: a task waits
	path     string
	protocol string // that feeds ask for
	feeds    []*client
	bare     []*client
	unborn   []*client // that wait to be opened
	later    []retry   // that failed, and wait to be opened again
	opening  int       // connections under way
	abreast  int       // how many may be
	open     int       // feeds with a snapshot
	steady   int       // bare sockets that are open

	parser feedclient.Parser
	buffer []byte
	now    int64 // when this turn's events came

	round  int     // of marks; each connection is marked once a round; not above 0 while nobody counts
	bareOn bool    // the round marks bare sockets, else feeds
	marks  []int64 // when each connection had its update
	newest []byte  // the newest delta's text

	churn     float64 // connections a second that come and go
	churned   float64 // how much of the next one is due
	churnAt   int64   // when that was computed
	churnNext int     // whose turn it is

	seen
}

// seen is what was measured since the last take.
type seen struct {
	since           int64
	delivery, stale times
	deltas, gaps    int64
	dropped         int64
	refused, failed int64
	opened          int64
	why             string   // the last one was dropped or failed; "" if none was
	broken          []string // at most maxBroken
}

const (
	maxBroken = 10
	// turn is how long the loop sleeps at the most while something is due by the clock.
	turn = 20 * time.Millisecond
	// bufferBytes is read at once: a delta and, mostly, a snapshot.
	bufferBytes = 64 << 10
	events      = 256
	// connects is how many connections are begun in a turn: then those that are there ask, as each browser
	// does on a machine of its own.
	connects = 256
)

// retry is a client that is opened again at a time.
type retry struct {
	c  *client
	at int64
}

func newCrowd() (*crowd, error) {
	c := &crowd{buffer: make([]byte, bufferBytes)}
	c.reset()
	var err error
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	if c.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	return c, unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, c.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot})
}

func (c *crowd) reset() {
	c.seen = seen{since: time.Now().UnixNano(), delivery: newTimes(), stale: newTimes()}
}

// runCrowd does the tasks of a crowd until they end.
func runCrowd(in io.Reader, out io.Writer) error {
	c, err := newCrowd()
	if err != nil {
		return err
	}
	tasks, ended := make(chan asked, 1), make(chan struct{})
	wake := func() {
		one := [8]byte{1}
		_, _ = unix.Write(c.wake, one[:]) // it can't fail, and if it did the loop looks up by itself
	}
	go func() { // ends with the tasks, and is waited for
		defer close(ended)
		c.loop(tasks)
	}()
	err = serveTasks(in, out, func(t task) outcome {
		answer := make(chan outcome)
		tasks <- asked{t, answer}
		wake()
		return <-answer
	})
	close(tasks)
	wake()
	<-ended
	return errors.Join(err, c.close())
}

// close closes everything that the loop had.
func (c *crowd) close() error {
	for _, cl := range append(c.feeds, c.bare...) {
		c.end(cl)
	}
	return errors.Join(unix.Close(c.epoll), unix.Close(c.wake))
}

// asked is a task, and where its answer goes.
type asked struct {
	task   task
	answer chan<- outcome
}

// loop serves the connections, and begins a task whenever none is under way. It returns
// when the tasks are closed.
func (c *crowd) loop(tasks <-chan asked) {
	var current asked
	var done func() *outcome // nil while there is no task; returns nil until it is done
	ready := make([]unix.EpollEvent, events)
	for {
		n, err := unix.EpollWait(c.epoll, ready, c.patience())
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("wait for events: %v", err)) // our own descriptor is broken
		}
		c.now = time.Now().UnixNano()
		for _, e := range ready[:max(n, 0)] {
			c.serve(e)
		}
		c.work()
		if done == nil {
			select {
			case next, more := <-tasks:
				if !more {
					return
				}
				current, done = next, c.begin(next.task)
			default:
			}
		}
		if done != nil {
			if o := done(); o != nil {
				current.answer <- *o
				done = nil
			}
		}
	}
}

// patience is how long epoll may wait, in milliseconds.
func (c *crowd) patience() int {
	if len(c.unborn) > 0 && c.opening < c.abreast {
		return 0
	}
	if len(c.later) > 0 || len(c.unborn) > 0 || c.churn > 0 || c.opening > 0 || c.round > 0 {
		return int(turn.Milliseconds())
	}
	return 1000
}

// work does what is due by the clock.
func (c *crowd) work() {
	waiting := c.later[:0]
	for _, r := range c.later {
		if r.at <= c.now {
			c.unborn = append(c.unborn, r.c)
		} else {
			waiting = append(waiting, r)
		}
	}
	c.later = waiting
	for c.churned += c.churn * float64(c.now-c.churnAt) / 1e9; c.churned >= 1 && c.churn > 0; c.churned-- {
		c.churnOne()
	}
	c.churnAt = c.now
	for n := 0; n < connects && len(c.unborn) > 0 && c.opening < c.abreast; n++ {
		last := len(c.unborn) - 1
		next := c.unborn[last]
		c.unborn = c.unborn[:last]
		c.connect(next)
	}
}

// again opens a client after a random time around the given one.
func (c *crowd) again(cl *client, around time.Duration) {
	c.later = append(c.later, retry{cl, c.now + int64(around/2+rand.N(around))})
}

// mark notes that a connection has the update of this round.
func (c *crowd) mark(cl *client) {
	if c.round > 0 && cl.bare == c.bareOn && cl.round != c.round {
		cl.round = c.round
		c.marks = append(c.marks, c.now)
	}
}

func (c *crowd) breaks(format string, args ...any) {
	if len(c.broken) < maxBroken {
		c.broken = append(c.broken, fmt.Sprintf(format, args...))
	}
}
