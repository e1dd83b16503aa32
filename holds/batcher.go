package holds

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"onsale"
)

const (
	// maxBatch is how many operations one call carries at the most. What would keep
	// Redis's only thread too long all the same comes back undone; see apply.lua.
	maxBatch = 128
	// maxFlights is how many calls may be under way: while Redis works on one, the next
	// is on its way, so that it needn't wait for us. It sets out when half a batch has gathered.
	maxFlights = 2
	// gatherFactor is for how long a call gathers, from the one before on, in what that one took, unless half a
	// batch is there: and mostGather for how long at the most. A call costs Redis, us and all who
	// listen what ten operations in it do. On a machine that is idle it takes a fraction of a
	// millisecond, and nobody waits; on one that isn't, the wait is more than made up for.
	gatherFactor = 3
	mostGather   = 20 * time.Millisecond
	// maxWait is how long an operation may wait for its call. With what the call itself
	// may take it is less than a request's time.
	maxWait = time.Second
	// reapMost is how many due holds a call puts back before it works.
	reapMost = 128
	// callTimeout bounds one call to Redis.
	callTimeout = 3 * time.Second
	// callTries is how often a call whose connection broke is made. Operations are
	// repeatable by the hold's id, so one that may have run can run again.
	callTries = 2
	// asBefore stands for the name and the arguments of the operation before.
	asBefore = "="
)

var errTransport = errors.New("redis did not answer")

// errLate is for who has waited for a call for maxWait.
var errLate = onsale.Busy(onsale.CodeOverloaded, "too many requests are waiting for this event; ask again", time.Second, nil)

// operation is one thing asked of an event's book.
type operation struct {
	name  string
	hold  onsale.HoldID
	buyer onsale.BuyerID // "" where none matters
	args  []string
	came  time.Time
	done  chan outcome  // gets one, always: see maxWait
	then  func(outcome) // is told instead of done, by the goroutine that knows, unless it is nil
}

// tell says what came of it, once.
func (o *operation) tell(out outcome) {
	if o.then != nil {
		o.then(out)
		return
	}
	o.done <- out
}

type outcome struct {
	reply string
	err   error
}

// doneChannels are empty, and in nobody's hands.
var doneChannels = sync.Pool{New: func() any { return make(chan outcome, 1) }}

func newOperation(name string, hold onsale.HoldID, buyer onsale.BuyerID, args ...string) *operation {
	done, _ := doneChannels.Get().(chan outcome)
	return &operation{name: name, hold: hold, buyer: buyer, args: args, came: time.Now(), done: done}
}

// batcher sends an event's operations to Redis. Whatever gathers while calls are
// in flight goes in the next call: under load the calls grow, and Redis's cost of
// a hold falls to a sixth; when idle a request flies at once. Operations that are asked for at the same time may take effect in
// any order: who wants one after another waits for the first.
type batcher struct {
	client rueidis.Client
	script *fencedScript // applyScript
	keys   keys
	wg     *sync.WaitGroup                       // the desk's: it waits for calls in flight
	whose  func(context.Context) (string, error) // the run that the server is in
	saw    func(sighting)                        // told what each reply says of the stock

	epoch atomic.Uint64          // what this process believes; Redis corrects it
	heard atomic.Bool            // that Redis has said so; else Postgres has, which may be ahead of it for good; see learn
	known atomic.Pointer[script] // script, as Redis knew it last
	half  chan struct{}          // holds a token when half a batch has gathered

	mu     sync.Mutex
	lanes  lanes         // under mu
	flying int           // under mu: goroutines that are emptying the lanes, at most maxFlights
	closed bool          // under mu
	called time.Time     // under mu: when a batch was last taken
	took   time.Duration // under mu: what the last call took
}

// submit queues operations of one kind, all or none of them.
func (b *batcher) submit(ops ...*operation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return onsale.Busy(onsale.CodeUnavailable, "the server is going down; ask again", time.Second, nil)
	}
	if !b.lanes.fits(ops) {
		return onsale.Busy(onsale.CodeOverloaded, "too many requests are waiting for this event; ask again", time.Second, nil)
	}
	b.lanes.add(ops)
	if b.lanes.waiting() >= maxBatch/2 {
		select {
		case b.half <- struct{}{}:
		default: // it is known
		}
	}
	if b.flying == 0 || b.flying < maxFlights && b.lanes.waiting() >= maxBatch/2 {
		b.flying++
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

// gather is for how long the next call waits for company. Called under mu.
func (b *batcher) gather() time.Duration {
	if n := b.lanes.waiting(); n == 0 || n >= maxBatch/2 {
		return 0
	}
	return min(gatherFactor*b.took, mostGather) - time.Since(b.called)
}

func (b *batcher) fly() {
	for {
		runtime.Gosched() // whoever is about to ask goes along
		b.mu.Lock()
		if rest := b.gather(); rest > 0 {
			b.mu.Unlock()
			select {
			case <-b.half:
			case <-time.After(rest):
			}
			b.mu.Lock()
		}
		late := b.lanes.overdue(time.Now().Add(-maxWait))
		batch := b.lanes.take(maxBatch)
		landed := len(batch) == 0
		if landed {
			b.flying--
		} else {
			b.called = time.Now()
		}
		b.mu.Unlock()
		for _, op := range late {
			op.tell(outcome{err: errLate})
		}
		if landed {
			return
		}
		epoch := b.epoch.Load()
		if batch = ofEpoch(batch, epoch); len(batch) == 0 {
			continue
		}
		began := time.Now()
		replies, err := b.callIn(epoch, batch)
		b.mu.Lock()
		b.took = time.Since(began)
		b.mu.Unlock()
		if err != nil {
			b.fail(batch, err)
			continue
		}
		if undone := batch[len(replies):]; len(undone) > 0 {
			b.mu.Lock()
			b.took = 0 // what Redis has put off waits for no company
			b.lanes.giveBack(undone)
			b.mu.Unlock()
		}
		for i, reply := range replies {
			batch[i].tell(outcome{reply: reply})
		}
	}
}

// fail answers a batch with what its call came to, and with it who has waited for long:
// their calls would likely come to the same, and take as long.
func (b *batcher) fail(batch []*operation, err error) {
	b.mu.Lock()
	late := b.lanes.overdue(time.Now().Add(-maxWait))
	b.mu.Unlock()
	for _, op := range batch {
		op.tell(outcome{err: err})
	}
	for _, op := range late {
		op.tell(outcome{err: fmt.Errorf("%w for the calls before", errTransport)})
	}
}

// sweep makes a call without operations: it puts back what is due.
func (b *batcher) sweep() error {
	_, err := b.call(nil)
	return err
}

// arguments are apply.lua's.
func (b *batcher) arguments(epoch uint64, batch []*operation) []string {
	args := make([]string, 0, 4+8*len(batch))
	args = append(args, strconv.FormatUint(epoch, 10), b.keys.channel, strconv.Itoa(reapMost), strconv.Itoa(len(batch)))
	for _, op := range batch {
		args = append(args, string(op.hold))
	}
	for _, op := range batch {
		args = append(args, string(op.buyer))
	}
	for i, op := range batch {
		if i > 0 && op.name == batch[i-1].name && slices.Equal(op.args, batch[i-1].args) {
			args = append(args, asBefore) // a crowd asks for the same
			continue
		}
		args = append(append(args, op.name), op.args...)
	}
	return args
}

// ofEpoch keeps what may be asked in an epoch. A hold whose id was derived in another one, while it
// waited, is answered that it was: under an old id a repeat would not find it.
func ofEpoch(batch []*operation, epoch uint64) []*operation {
	kept := batch[:0]
	for _, op := range batch {
		if laneOf[op.name] == laneHolds {
			if _, of, ok := op.hold.Parse(); ok && uint64(of) != epoch {
				op.tell(outcome{err: status{word: "epoch", epoch: onsale.Epoch(epoch)}})
				continue
			}
		}
		kept = append(kept, op)
	}
	return kept
}

// call is callIn the epoch that this process believes in.
func (b *batcher) call(batch []*operation) ([]string, error) { return b.callIn(b.epoch.Load(), batch) }

// callIn has the operations done, or as many of the first of them as Redis has time for.
func (b *batcher) callIn(epoch uint64, batch []*operation) ([]string, error) {
	seen := sighting{epoch: onsale.Epoch(epoch), sent: time.Now()}
	reply, err := b.send(b.arguments(epoch, batch))
	if err != nil {
		return nil, err
	}
	if err := b.learn(checkStatus(reply)); err != nil {
		return nil, err
	}
	const length = 5 // status, now, seq, next due, replies
	if len(reply) != length {
		return nil, fmt.Errorf("apply answered %d things, not %d", len(reply), length)
	}
	if err := seen.read(reply[1:4]); err != nil {
		return nil, err
	}
	text, err := reply[4].ToString()
	if err != nil {
		return nil, fmt.Errorf("read apply's replies: %w", err)
	}
	b.heard.Store(true)
	var replies []string
	if len(batch) > 0 {
		replies = strings.Split(text, "\n")
	}
	if len(replies) > len(batch) {
		return nil, fmt.Errorf("apply answered %d replies to %d operations", len(replies), len(batch))
	}
	seen.hear(batch, replies)
	b.saw(seen)
	return replies, nil
}

// send makes the call, again if the connection broke: apply is repeatable.
func (b *batcher) send(args []string) ([]rueidis.RedisMessage, error) {
	var err error
	for range callTries {
		// Not a request's context: the batch belongs to many requests.
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		var reply []rueidis.RedisMessage
		reply, err = b.script.run(ctx, b.client, b.keys, &b.known, b.whose, args)
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
// Redis has gone back in time, and mirrors will see to it. Only of what it has heard of Redis
// can a process say that: Postgres's epoch is raised before the stock is laid in it, and never is laid by who finds that
// another process has meanwhile laid it whole, in the epoch before. Who is refused because of the run
// asks anew which one it is: a server that is made the master begins one, and forgets no
// script. It returns err.
func (b *batcher) learn(err error) error {
	var s status
	if !errors.As(err, &s) {
		return err
	}
	switch s.word {
	case "epoch":
		if b.heard.CompareAndSwap(false, true) {
			b.epoch.Store(uint64(s.epoch))
		}
		b.raise(s.epoch)
	case "recovering":
		b.known.Store(nil)
	}
	return err
}

func (b *batcher) raise(epoch onsale.Epoch) {
	for {
		known := b.epoch.Load()
		if uint64(epoch) <= known {
			return
		}
		if b.epoch.CompareAndSwap(known, uint64(epoch)) {
			b.heard.Store(true)
			return
		}
	}
}
