// Package bench is the load harness: it storms a running Onsale with simulated people
// and finds out whether it kept its promises. It is a black box, which speaks HTTP and
// WebSocket like a stranger and believes nothing that it wasn't told.
//
// A rush goes through these files in order: stage.go sees to the event, profile.go says
// when each buyer arrives and temper.go what they are like; buyer.go and purchase.go are
// a buyer's life, and bot.go a bot's, who looks at a watch.go, chooses (choose.go) and asks the api.go. What
// they are told stands in ledger.go and takings.go, how long it took in measure.go; what can't be is
// seen at once (sight.go, expiry.go). At the end truth.go and feeds.go hold the ledger against what is
// true, witness.go says what is known of each culprit, and figures.go makes the report.go. What
// comes after a sale, refunds and late payments, is in aftermath.go. How it all went, moment by moment,
// is in recording.go.
//
// A crowd of more than one process's files and processors is a storm, and dealt out to workers:
// storm.go, whose helpers are the crew.go, the worker.go and its loop_linux.go of feeds.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/bench/timeline"
	"onsale/internal/lifecycle"
)

// rush is one run: its crowd, what it measures and what it remembers.
type rush struct {
	cfg       RushConfig
	api       *api
	dialer    *dialer
	m         measured
	ledger    *ledger
	aftermath *aftermath     // of use if cfg.Aftermath
	layout    *onsale.Layout // of the event; set by prepare, before there are buyers
	ours      bool           // the event was made for this rush alone, and is there; set by prepare

	phase     atomic.Value         // a Phase
	stormed   time.Duration        // how long it took until the last buyer had left; set when they have
	requests  int64                // how many requests were sent in that time
	leftover  *onsale.FeedSnapshot // what the server had left when the last buyer had left; set by judge
	undersold *int64               // admissions; set by judge, nil if it couldn't tell
	feeds     lifecycle.Group      // every feed's goroutine
	observer  *watch               // a feed of the bench's own, that signs in as nobody
	sight     *sight               // what all feeds show; set by prepare
	vigil     *vigil               // what the observer shows of holds that were let go; set by prepare
	epoch     onsale.Epoch         // of the stock when the rush began; set by prepare
	usage     *usage               // of the processes; set by record
	recorded  func()               // ends the recording, to the last moment; may be called again
	shards    []*timeline.Shard    // what the workers have recorded; set when the last buyer has left
	crew      *crew                // who have the buyers, where that is other processes; nil where it is this one
	storming  stormed              // of the crew; set when the last buyer has left

	// Of a worker's rush, which is a part of a storm:
	share   share          // whose buyers are its own
	loop    *loop          // of the feeds; nil where each has a goroutine
	waiting map[int]*buyer // by number: who is signed in and watches before the doors open
	alarm   alarm          // of the buyers
	doors   time.Time      // when they open; zero for at once

	telling  sync.Mutex // held while the caller is told, so that calls don't overlap
	mu       sync.Mutex
	opened   time.Time // under mu: when the first buyer could arrive
	watches  []*watch  // under mu: every feed that was opened, and not left
	strain   strain    // under mu
	staying  int       // under mu: feeds that stay open though their buyers have left
	troubles []string  // under mu: the first errors, for people; bounded by maxTroubles
}

// maxTroubles is how many errors are spelled out; all of them are counted.
const maxTroubles = 5

// Rush storms one event with simulated buyers and returns what it measured, when every
// order it was promised has come to its end or ResultTimeout is over, and everything
// has been checked.
//
// The error is a *ConfigError for a wrong setting, a target that isn't there included, and
// an *onsale.AuditError, next to the report, if a promise is broken, or ErrVoid if nothing
// could be bought, so that none was put to the test. Any other error means that the rush
// couldn't be made or its result couldn't be checked; there may be a report all the same. If there
// is none, the *onsale.AuditError of what was found before is with it.
func Rush(ctx context.Context, cfg RushConfig) (*Report, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &rush{cfg: cfg, ledger: newLedger(), aftermath: newAftermath(), opened: time.Now()}
	var err error
	if r.api, err = newAPI(cfg.Target, &r.m); err != nil {
		return nil, err
	}
	defer r.api.close()
	r.recorded = r.record()
	r.enter(PhasePreparing)
	stopTelling := r.tellOften()

	report, err := r.run(ctx)
	stopTelling()
	r.recorded()
	err = errors.Join(err, r.leave(ctx))
	if report == nil { // what was found until then has been found all the same
		found := onsale.AuditReport{Violations: r.ledger.withWitnesses(r.ledger.found())}
		err = errors.Join(err, found.Err())
	}
	r.enter(PhaseDone)
	return report, err
}

// leave closes the feeds, and the event if it was made for the rush, even if the rush
// was stopped.
func (r *rush) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), onsale.StopTimeout)
	defer cancel()
	var errs []error
	if err := r.crew.leave(ctx); err != nil {
		errs = append(errs, fmt.Errorf("dismissing the workers: %w", err))
	}
	if err := r.feeds.Stop(ctx); err != nil {
		errs = append(errs, fmt.Errorf("closing the feeds: %w", err))
	}
	if r.ours {
		if err := r.moveSale(ctx, "close"); err != nil {
			errs = append(errs, fmt.Errorf("closing the event of the rush: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (r *rush) run(ctx context.Context) (*Report, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("preparing the event: %w", err)
	}
	if err := r.stormBy(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the rush was stopped: %w", err)
	}
	if err := r.cfg.Heal(ctx); err != nil {
		return nil, fmt.Errorf("the house did not heal: %w", err)
	}
	audit, err := r.judge(ctx)
	if err != nil {
		return nil, fmt.Errorf("checking the outcome: %w", err)
	}
	report := r.report(audit)
	return report, report.Err()
}

// storm lets every buyer arrive at their time and returns when the last has left.
func (r *rush) storm(ctx context.Context) {
	schedule := r.cfg.Profile.arrivals(r.cfg.Users, r.cfg.Over, r.cfg.Seed)
	opened := time.Now()
	if !r.doors.IsZero() {
		opened = r.doors
	}
	r.mu.Lock()
	r.opened = opened
	r.mu.Unlock()
	r.enter(PhaseStorm)
	defer r.alarm.wake()
	defer context.AfterFunc(ctx, r.alarm.wake)()
	var crowd sync.WaitGroup
	come := func(i int, arrival time.Time) {
		r.m.arrived.Add(1)
		r.m.active.Add(1)
		r.visit(ctx, r.comer(i), arrival)
	}
	arrive := func(i int, at time.Duration) bool {
		arrival := opened.Add(at)
		if b := r.waiting[i]; b != nil { // at the doors already
			crowd.Go(func() {
				growStack(i)
				if r.alarm.until(ctx, arrival) {
					come(i, arrival)
				}
			})
			return true
		}
		if !waitUntil(ctx, arrival) {
			return false
		}
		crowd.Go(func() { come(i, arrival) })
		return true
	}
	for i, at := range schedule {
		if r.share.has(i) && !arrive(i, at) {
			break
		}
	}
	if last := len(schedule) - 1; last >= 0 {
		waitUntil(ctx, opened.Add(schedule[last]))
	}
	for i, pace := r.cfg.Users, r.cfg.Over/time.Duration(r.cfg.Users); i < 2*r.cfg.Users && r.cfg.GoOn(); i++ {
		if !arrive(i, time.Duration(i)*pace) {
			break
		}
	}
	r.enter(PhaseSettling)
	crowd.Wait()
	r.stormed, r.requests = time.Since(opened), r.m.requests.Load()
}

// stackRoom is as much of a stack as a visit takes, about.
const stackRoom = 10 << 10

// growStack has the caller's stack grow at once, before the doors open and while there is nothing on it: by and by,
// as a visit's calls go deeper, it would be copied three times, to memory that the system has to
// find first, which was seen to be a sixth of what a storm's crowd costs.
//
//go:noinline
func growStack(i int) byte {
	var room [stackRoom]byte
	return room[i%stackRoom] // so that the compiler keeps it
}

// heapRoom is about as much memory as a worker's crowd asks for while it storms.
const heapRoom = 192 << 20

// warmHeap has the system find that memory before the doors open, like the stacks': what is collected is kept,
// for workers collect garbage only when they must (crew.go).
func warmHeap() {
	room := make([]byte, heapRoom)
	for i := 0; i < len(room); i += os.Getpagesize() {
		room[i] = 1
	}
	runtime.KeepAlive(room)
	room = nil
	runtime.GC()
}

// visit is a buyer's visit. The feed stays open after it as long as there are not too many.
func (r *rush) visit(ctx context.Context, b *buyer, arrival time.Time) {
	b.visit(ctx, arrival)
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.feed == nil {
		return
	}
	if r.staying < r.cfg.Watchers {
		r.staying++
		return
	}
	b.feed.leave()
	r.watches = slices.DeleteFunc(r.watches, func(w *watch) bool { return w == b.feed })
}

// buyer returns the n-th buyer, whose first step is due now.
func (r *rush) buyer(n int) *buyer {
	return &buyer{temper: newTemper(r.cfg, n), rush: r, due: time.Now()}
}

// comer is the n-th buyer at the doors, who may have waited there.
func (r *rush) comer(n int) *buyer {
	if b := r.waiting[n]; b != nil {
		return b
	}
	return r.buyer(n)
}

// watch opens a feed, which stays open until it is left or the rush is over: people look on
// after they have bought, and every feed is checked at the end.
func (r *rush) watch(token string) *watch {
	w := newWatch(r.dialer, r.sight, token, &r.m, r.ledger)
	w.remote = r.cfg.Remote
	if r.observer == nil { // the first is the bench's own
		w.shown = r.vigil.look
	}
	r.mu.Lock()
	r.watches = append(r.watches, w)
	r.mu.Unlock()
	if r.loop != nil {
		r.loop.follow(w)
	} else {
		r.feeds.Go(context.Background(), w.runUntilLeft)
	}
	return w
}

// trouble keeps an error to show to people.
func (r *rush) trouble(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.troubles) < maxTroubles {
		r.troubles = append(r.troubles, err.Error())
	}
}
