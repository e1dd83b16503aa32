package checkout

// The refunder takes refunds that are due to their end. persist/refund.go says what is
// left wherever it dies, and what happens then; here is the order that makes it so: ask
// the provider, under the refund's id, until it answers for certain; write the end; settle
// the hold in Redis; tell Kafka; and only then be done with the refund. What is told is
// read from the book with the end, so a repeat tells the same, or what is newer.
//
// Redis is settled here, and again by the order's news: the refund is not done with before
// its inventory is for sale again. While the stock is being laid this one waits too.

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
}

// PaysBack is a payment provider as a refunder needs it.
type PaysBack interface {
	// Refund pays back, under the idempotency key that is the refund's id: however often
	// it is called, the money is paid back once at the most, and each definite answer is
	// the same. An error means that what happened is unknown.
	Refund(ctx context.Context, refund onsale.Refund) (onsale.RefundResult, error)
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
	for _, outcome := range []string{string(onsale.RefundMade), string(onsale.RefundRefused), refundUnknown} {
		r.counter(outcome)
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
	err := r.end(ctx, d)
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
	return r.cfg.Book.RefundTold(ending, d.ID)
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
	result, err := r.cfg.Provider.Refund(asking, d.Refund)
	switch {
	case err != nil:
		return result, fmt.Errorf("ask the provider: %w", err)
	case result.ID != d.ID || result.Outcome != onsale.RefundMade && result.Outcome != onsale.RefundRefused:
		return result, fmt.Errorf("the provider answers %q of refund %q", result.Outcome, result.ID)
	}
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

// refundUnknown is what an attempt comes to that has no definite answer.
const refundUnknown = "unknown"

func (r *Refunder) counter(outcome string) *metrics.Counter {
	return r.cfg.Metrics.GetOrCreateCounter(`onsale_refunds_total{outcome="` + outcome + `"}`)
}
