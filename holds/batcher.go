package holds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"onsale"
)

const (
	// maxBatch is how many operations one call carries: at 3.5 µs each it keeps
	// Redis's only thread for less than half a millisecond.
	maxBatch = 128
	// maxQueued is how many operations of one event may wait for a call. The next
	// is answered 503: at 40,000 a second this is under half a second of waiting.
	maxQueued = 16_384
	// reapMost is how many due holds a call puts back before it works.
	reapMost = 128
	// callTimeout bounds one call to Redis.
	callTimeout = 3 * time.Second
	// callTries is how often a call whose connection broke is made. Operations are
	// repeatable by the hold's id, so one that may have run can run again.
	callTries = 2
)

var errTransport = errors.New("redis did not answer")

// operation is one thing asked of an event's book.
type operation struct {
	name string
	args []string // the hold's id first
	done chan outcome
}

type outcome struct {
	reply string
	err   error
}

func newOperation(name string, args ...string) *operation {
	return &operation{name: name, args: args, done: make(chan outcome, 1)}
}

// batcher sends an event's operations to Redis. Whatever gathers while a call is
// in flight goes in the next call: under load the calls grow, and Redis's cost of
// a hold falls from 12 µs to 3.5; when idle a request flies at once, without
// waiting for company. One call is in flight at a time, so operations take effect
// in the order in which they came.
type batcher struct {
	client rueidis.Client
	script *script // applyScript
	keys   keys
	wg     *sync.WaitGroup // the desk's: it waits for calls in flight
	onSeq  func(seq uint64, nextDue time.Time)

	epoch atomic.Uint64 // what this process believes; Redis corrects it

	mu     sync.Mutex
	queue  []*operation // under mu
	flying bool         // under mu: a goroutine is emptying the queue
	closed bool         // under mu
}

// submit queues operations, all or none of them.
func (b *batcher) submit(ops ...*operation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return onsale.Busy(onsale.CodeUnavailable, "the server is going down; ask again", time.Second, nil)
	}
	if len(b.queue)+len(ops) > maxQueued {
		return onsale.Busy(onsale.CodeOverloaded, "too many requests are waiting for this event; ask again", time.Second, nil)
	}
	b.queue = append(b.queue, ops...)
	if !b.flying {
		b.flying = true
		b.wg.Go(b.fly)
	}
	return nil
}

// close refuses what comes from now on; what is queued still flies.
func (b *batcher) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

func (b *batcher) fly() {
	for {
		b.mu.Lock()
		n := min(len(b.queue), maxBatch)
		if n == 0 {
			b.flying = false
			b.queue = nil // a queue that was long once gives its memory back
			b.mu.Unlock()
			return
		}
		batch := b.queue[:n:n]
		b.queue = b.queue[n:]
		b.mu.Unlock()

		replies, err := b.call(batch)
		for i, op := range batch {
			if err != nil {
				op.done <- outcome{err: err}
				continue
			}
			op.done <- outcome{reply: replies[i]}
		}
	}
}

// sweep makes a call without operations: it puts back what is due.
func (b *batcher) sweep() error {
	_, err := b.call(nil)
	return err
}

func (b *batcher) call(batch []*operation) ([]string, error) {
	args := make([]string, 0, 4+8*len(batch))
	args = append(args, strconv.FormatUint(b.epoch.Load(), 10), b.keys.channel, strconv.Itoa(reapMost), strconv.Itoa(len(batch)))
	for _, op := range batch {
		args = append(args, op.name, strconv.Itoa(len(op.args)))
		args = append(args, op.args...)
	}
	reply, err := b.send(args)
	if err != nil {
		return nil, err
	}
	if err := b.learn(checkStatus(reply)); err != nil {
		return nil, err
	}
	const fixed = 4 // status, now, seq, next due
	if len(reply) != fixed+len(batch) {
		return nil, fmt.Errorf("apply answered %d replies to %d operations", len(reply)-fixed, len(batch))
	}
	seq, err := reply[2].AsUint64()
	if err != nil {
		return nil, fmt.Errorf("read apply's seq: %w", err)
	}
	due, err := reply[3].AsInt64()
	if err != nil {
		return nil, fmt.Errorf("read apply's next due: %w", err)
	}
	b.onSeq(seq, fromMs(due))
	replies := make([]string, len(batch))
	for i := range replies {
		if replies[i], err = reply[fixed+i].ToString(); err != nil {
			return nil, fmt.Errorf("read apply's reply: %w", err)
		}
	}
	return replies, nil
}

// send makes the call, again if the connection broke: apply is repeatable.
func (b *batcher) send(args []string) ([]rueidis.RedisMessage, error) {
	var err error
	for range callTries {
		// Not a request's context: the batch belongs to many requests.
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		var reply []rueidis.RedisMessage
		reply, err = b.script.run(ctx, b.client, b.keys, args).ToArray()
		cancel()
		if err == nil {
			return reply, nil
		}
		if e, refused := rueidis.IsRedisErr(err); refused {
			if passes(e.Error()) {
				break
			}
			return nil, fmt.Errorf("redis refused a script: %w", err) // a defect of the script or its arguments
		}
	}
	return nil, fmt.Errorf("%w: %w", errTransport, err)
}

// passes reports whether what Redis refused with is about the moment: it is loading,
// out of memory, failing over, or no longer the master.
func passes(message string) bool {
	word, _, _ := strings.Cut(message, " ")
	switch word {
	case "LOADING", "OOM", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS", "MOVED", "ASK":
		return true
	}
	return false
}

// learn takes over the epoch that Redis says it is in, unless it is an older one: then
// Redis has gone back in time, and mirrors will see to it. It returns err.
func (b *batcher) learn(err error) error {
	var s status
	if errors.As(err, &s) && s.word == "epoch" {
		b.raise(s.epoch)
	}
	return err
}

func (b *batcher) raise(epoch onsale.Epoch) {
	for {
		known := b.epoch.Load()
		if uint64(epoch) <= known || b.epoch.CompareAndSwap(known, uint64(epoch)) {
			return
		}
	}
}
