package payment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"onsale"
	"onsale/internal/kafka"
)

const (
	// DefaultParallel is how many questions a worker has under way at the provider.
	DefaultParallel = 128
	// maxUndecided is how many charges are being decided at once, those that wait
	// for their next attempt included. It is at least a batch, so that a batch
	// never waits for itself.
	maxUndecided = 2 * maxBatch
	// decidingTime is how long a charge is kept in memory between attempts. After it
	// the copy in Kafka takes over, so that a few hopeless charges can't fill all
	// the room for good.
	decidingTime = 30 * time.Second
	// firstRetry and lastRetry bound the wait before the provider is asked again.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Why a charge is undecided, when the provider has not even failed.
var (
	errNotAnswered = errors.New("the provider has not answered yet")
	errNoRoom      = errors.New("too many charges are undecided")
)

// undecided is the charges whose answer is not known yet, one decision an order.
// A decision outlives the batch that it came with; what makes it durable is its
// record in Kafka, which is committed only when the result is in Kafka or the
// charge has been put back (see Worker).
type undecided struct {
	provider Provider
	producer producer
	counters counters
	giveUp   time.Duration // since Charge.AskedAt

	slots   chan struct{}  // a token for each attempt under way
	started chan *decision // from join to run

	mu      sync.Mutex
	byOrder map[onsale.OrderID]*decision // under mu
}

// decision is one order on its way to a definite answer.
type decision struct {
	charge onsale.Charge // AskedAt under mu; only decide's goroutine changes it
	done   chan struct{} // closed when told, or given up
	asked  bool          // of decide's goroutine: the provider may have heard of it

	mu    sync.Mutex
	told  bool  // under mu: the result is acknowledged by Kafka
	cause error // under mu: why it is still undecided
}

func newUndecided(cfg WorkerConfig, provider Provider, producer producer, counters counters) *undecided {
	return &undecided{
		provider: provider, producer: producer, counters: counters, giveUp: cfg.GiveUp,
		slots:   make(chan struct{}, cfg.Parallel),
		started: make(chan *decision),
		byOrder: map[onsale.OrderID]*decision{},
	}
}

// run decides what join hands over, until ctx ends, and waits for what is under way.
func (u *undecided) run(ctx context.Context) {
	var deciding errgroup.Group // its functions return no errors
	deciding.SetLimit(maxUndecided)
	for {
		select {
		case d := <-u.started:
			deciding.Go(func() error { u.decide(ctx, d); return nil })
		case <-ctx.Done():
			_ = deciding.Wait() // the functions above return no error
			return
		}
	}
}

// join returns the decision of the charge's order: the one under way, or a new
// one. If there is no room for another until ctx ends, the decision is over, untold.
func (u *undecided) join(ctx context.Context, charge onsale.Charge) *decision {
	u.mu.Lock()
	d, known := u.byOrder[charge.Order]
	if !known {
		d = &decision{charge: charge, done: make(chan struct{}), cause: errNotAnswered}
		u.byOrder[charge.Order] = d
	}
	u.mu.Unlock()
	if known {
		return d
	}
	select {
	case u.started <- d:
	case <-ctx.Done():
		u.end(d, errNoRoom)
	}
	return d
}

// decide asks until the answer is definite and Kafka has it, or ctx ends, or the
// charge has been in memory for long enough.
func (u *undecided) decide(ctx context.Context, d *decision) {
	began := time.Now()
	pace := &backoff.ExponentialBackOff{
		InitialInterval: firstRetry, MaxInterval: lastRetry,
		Multiplier: 2, RandomizationFactor: 0.5, // jitter: those that failed together don't come back together
	}
	ended, err := backoff.Retry(ctx, func() (onsale.ChargeResult, error) {
		result, err := u.attempt(ctx, d)
		if err == nil {
			// What is known is told, even if we are being stopped. Produce is bounded.
			err = u.tell(context.WithoutCancel(ctx), result)
		}
		d.undecidedBecause(err)
		return result, err
	}, backoff.WithBackOff(pace), backoff.WithMaxElapsedTime(decidingTime))
	if err == nil {
		u.counters.seconds.Since(began)
		u.counters.ended(ended)
	}
	u.end(d, err)
}

// tell puts a definite answer into Kafka.
func (u *undecided) tell(ctx context.Context, r onsale.ChargeResult) error {
	err := u.producer.Produce(ctx, kafka.Message{Topic: onsale.TopicResults, Key: string(r.Order), Value: r})
	if err != nil {
		return fmt.Errorf("tell the result of %s: %w", r.Order, err)
	}
	return nil
}

// end closes a decision: told if err is nil, otherwise given up for now.
func (u *undecided) end(d *decision, err error) {
	u.mu.Lock()
	delete(u.byOrder, d.charge.Order)
	u.mu.Unlock()
	d.mu.Lock()
	d.told, d.cause = err == nil, err
	d.mu.Unlock()
	close(d.done)
}

// noteAsked notes that the provider was asked, and may have acted.
func (d *decision) noteAsked(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = true
	if d.charge.AskedAt.IsZero() {
		d.charge.AskedAt = at.UTC()
	}
}

func (d *decision) undecidedBecause(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cause = err
}

// state returns the charge, whether its result is in Kafka and, if not, the last reason.
func (d *decision) state() (charge onsale.Charge, told bool, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.charge, d.told, d.cause
}
