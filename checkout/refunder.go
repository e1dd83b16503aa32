package checkout

// The refunder takes refunds that are due to their end. persist/refund.go says what is
// left wherever it dies, and what happens then; here is the order that makes it so: ask
// the provider, under the refund's id, until it answers for certain; write the end; settle
// the hold in Redis; tell Kafka; and only then be done with the refund. What is told is
// read from the book with the end, so a repeat tells the same, or what is newer.
//
// Redis is settled here, and again by the order's news: the refund is not done with before
// its inventory is for sale again. While the stock is being laid this one waits too.
//
// What was made and told comes back to be looked at, since it may fail later; then nothing
// is paid and nothing told.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/errgroup"

	"onsale"
	"onsale/holds"
	"onsale/internal/crashpoint"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// refundEvery is how often refunds that are due are looked for.
	refundEvery = 500 * time.Millisecond
	// refundMost is how many a worker has on its hands.
	refundMost = 16
	// refundAskTime is how long the provider may take for one answer.
	refundAskTime = 10 * time.Second
	// refundTellTime bounds the writing of an end, and the telling of it.
	refundTellTime = 15 * time.Second
	// refundLease is when another worker takes a refund that this one was given: later than
	// this one can be at it.
	refundLease = time.Minute
)

// refundBackoff is the wait before a refund is taken up again.
var refundBackoff = lifecycle.Backoff{First: time.Second, Last: 5 * time.Minute}

// RefundBook keeps refunds; see persist.Store.
type RefundBook interface {
	TakeRefunds(ctx context.Context, most int, lease time.Duration) ([]onsale.DueRefund, error)
	EndRefund(ctx context.Context, result onsale.RefundResult) (*onsale.OrderNews, error)
	PutRefundBack(ctx context.Context, id onsale.RefundID, pause time.Duration) error
	RefundTold(ctx context.Context, id onsale.RefundID) error
	RefundStands(ctx context.Context, id onsale.RefundID, attempts int) error
	RefundFailed(ctx context.Context, id onsale.RefundID, why string) error
}

// PaysBack is a payment provider as a refunder needs it.
type PaysBack interface {
	// Refund pays back, under the idempotency key that is the refund's id: however often
	// it is called, the money is paid back once at the most, and each definite answer is
	// the same. An error means that what happened is unknown.
	Refund(ctx context.Context, refund onsale.Refund) (onsale.RefundResult, error)
	// LookUpRefund returns what has become of a refund, and pays nothing back. What was made
	// is refused if it has failed since; found is false if the provider has none of the id.
	LookUpRefund(ctx context.Context, refund onsale.Refund) (result onsale.RefundResult, found bool, err error)
}

// RefunderConfig says what a refunder works with. All but Metrics and Log are needed.
type RefunderConfig struct {
	Book     RefundBook
	Provider PaysBack
	Desk     *holds.Desk
	Layouts  Layouts
	Producer *kafka.Producer // outlives the refunder
	Metrics  *metrics.Set    // default: one that nobody reads
	Log      *slog.Logger    // default: slog.Default()
}

// Refunder has money paid back. Any number of them share the work.
type Refunder struct {
	cfg     RefunderConfig
	every   time.Duration     // refundEvery, except in tests
	backoff lifecycle.Backoff // refundBackoff, except in tests
	group   lifecycle.Group
}

// NewRefunder returns a refunder that has not started.
func NewRefunder(cfg RefunderConfig) *Refunder {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	r := &Refunder{cfg: cfg, every: refundEvery, backoff: refundBackoff}
	for _, outcome := range []string{string(onsale.RefundMade), string(onsale.RefundRefused), refundUnknown, refundNotFound, refundFailed} {
		r.counter(outcome) // of what first shows as 1 nobody sees that it rose
	}
	return r
}

// Start begins to look for refunds.
func (r *Refunder) Start(ctx context.Context) error {
	r.group.Go(ctx, func(ctx context.Context) {
		lifecycle.Every(ctx, r.every, func(ctx context.Context) {
			if err := r.round(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Log.Warn("refunds can't be looked for; it is tried again", "error", err)
			}
		})
	})
	return nil
}

// Stop puts back what is under way and returns.
func (r *Refunder) Stop(ctx context.Context) error { return r.group.Stop(ctx) }

// round works on all that is due now.
func (r *Refunder) round(ctx context.Context) error {
	for {
		due, err := r.cfg.Book.TakeRefunds(ctx, refundMost, refundLease)
		if err != nil {
			return fmt.Errorf("take refunds: %w", err)
		}
		var working errgroup.Group // its functions return no errors
		for _, d := range due {
			working.Go(func() error { r.work(ctx, d); return nil })
		}
		_ = working.Wait() // the functions above return no error
		if len(due) < refundMost || ctx.Err() != nil {
			return nil
		}
	}
}

// work takes a refund as far as it comes; if that is not to its end, it is put back.
func (r *Refunder) work(ctx context.Context, d onsale.DueRefund) {
	step := r.end
	if d.Told {
		step = r.lookAgain
	}
	err := step(ctx, d)
	if err == nil {
		return
	}
	r.counter(refundUnknown).Inc()
	pause := r.backoff.Wait(d.Attempts)
	r.cfg.Log.Warn("a refund has not come to its end; it is taken up again", "refund", d.ID, "order", d.Order,
		"attempts", d.Attempts, "pause", pause, "error", err)
	// What is known is noted, even if we are being stopped.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), refundTellTime)
	defer cancel()
	if err := r.cfg.Book.PutRefundBack(noting, d.ID, pause); err != nil {
		r.cfg.Log.Warn("a refund could not be put back; it is taken up when its lease ends", "refund", d.ID, "error", err)
	}
}

func (r *Refunder) end(ctx context.Context, d onsale.DueRefund) error {
	result, err := r.answer(ctx, d)
	if err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), refundTellTime)
	defer cancel()
	news, err := r.cfg.Book.EndRefund(ending, result)
	if err != nil {
		return fmt.Errorf("end the refund: %w", err)
	}
	if d.Result == nil {
		r.counter(string(result.Outcome)).Inc()
		if result.Outcome == onsale.RefundRefused {
			r.cfg.Log.Error("the provider refuses a refund; its tickets are valid again", "refund", d.ID, "order", d.Order, "reason", result.Reason)
		}
	}
	if news == nil {
		return nil
	}
	if err := r.tell(ending, news); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.BeforeRefundIsTold)
	return r.cfg.Book.RefundTold(ending, d.ID)
}

// lookAgain asks whether a refund that was made still stands; persist/refund_fail.go says why.
func (r *Refunder) lookAgain(ctx context.Context, d onsale.DueRefund) error {
	asking, cancel := context.WithTimeout(ctx, refundAskTime)
	defer cancel()
	result, found, err := r.cfg.Provider.LookUpRefund(asking, d.Refund)
	if err != nil {
		return fmt.Errorf("ask the provider whether it stands: %w", err)
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), refundTellTime)
	defer cancel()
	switch {
	case !found: // which no provider should say; it is asked again, and somebody told
		r.counter(refundNotFound).Inc()
		r.cfg.Log.Error("the provider doesn't know a refund that it has made", "refund", d.ID, "order", d.Order, "payment", d.Reference)
	case result.ID != d.ID:
		return fmt.Errorf("the provider answers about refund %q", result.ID)
	case result.Outcome == onsale.RefundRefused:
		if err := r.cfg.Book.RefundFailed(noting, d.ID, result.Reason); err != nil {
			return err
		}
		r.counter(refundFailed).Inc()
		r.cfg.Log.Error("a refund has failed after it was made: its money is here again, its tickets are void", "refund", d.ID, "order", d.Order, "reason", result.Reason)
		return nil
	}
	return r.cfg.Book.RefundStands(noting, d.ID, d.Attempts)
}

// answer is the provider's definite answer; an error means that it is still unknown.
func (r *Refunder) answer(ctx context.Context, d onsale.DueRefund) (onsale.RefundResult, error) {
	if d.Result != nil {
		return *d.Result, nil
	}
	if d.Amount == 0 { // of what cost nothing: there is nobody to ask
		return onsale.RefundResult{ID: d.ID, Outcome: onsale.RefundMade, At: time.Now()}, nil
	}
	asking, cancel := context.WithTimeout(ctx, refundAskTime)
	defer cancel()
	crashpoint.Reach(crashpoint.BeforePayingBack)
	result, err := r.cfg.Provider.Refund(asking, d.Refund)
	switch {
	case err != nil:
		return result, fmt.Errorf("ask the provider: %w", err)
	case result.ID != d.ID || result.Outcome != onsale.RefundMade && result.Outcome != onsale.RefundRefused:
		return result, fmt.Errorf("the provider answers %q of refund %q", result.Outcome, result.ID)
	}
	crashpoint.Reach(crashpoint.AfterPayingBack)
	return result, nil
}

// tell settles the hold, and produces the order's news.
func (r *Refunder) tell(ctx context.Context, news *onsale.OrderNews) error {
	l, err := r.cfg.Layouts(ctx, news.Event)
	if err != nil {
		return fmt.Errorf("find the event of order %s: %w", news.Order, err)
	}
	settled := r.cfg.Desk.Settle(ctx, l, []holds.Settlement{settlementOf(news)})
	if settled != nil {
		settled = fmt.Errorf("settle the hold of order %s: %w", news.Order, settled)
	}
	// The buyer needn't wait for Redis.
	told := r.cfg.Producer.Produce(ctx, kafka.Message{Topic: onsale.TopicOrders, Key: string(news.Order), Value: news})
	if told != nil {
		told = fmt.Errorf("tell of order %s: %w", news.Order, told)
	}
	return errors.Join(settled, told)
}

// What an attempt comes to that pays nothing back and is no answer of the provider's.
const (
	refundUnknown  = "unknown"
	refundNotFound = "not_found"
	refundFailed   = "failed"
)

func (r *Refunder) counter(outcome string) *metrics.Counter {
	return r.cfg.Metrics.GetOrCreateCounter(`onsale_refunds_total{outcome="` + outcome + `"}`)
}
