package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// reconcileEvery is how often the book is looked through.
	reconcileEvery = 2 * time.Minute
	// reconcileTimeout bounds one round.
	reconcileTimeout = 5 * time.Minute
	// reconcileMost is how many charges of an event a round asks for again.
	reconcileMost = 1000
	// forgetMost is how many reminders of charges that have their result a round forgets.
	forgetMost = 10_000
	// lostAge is how long an order may be claimed, while no charge and no result waits in
	// Kafka, before its charge is held to be lost.
	lostAge = 2 * time.Minute
	// lostAnyway is the same while some do wait: it may be among them.
	lostAnyway = 30 * time.Minute
	// overdueAge is when a charge without a result, or a refund that is due still, is for a
	// person to look into.
	overdueAge = 30 * time.Minute
)

// What is reconciled, by kind; the last two by Recovery.
const (
	lostCharge     = "lost_charge"
	orphanClaim    = "orphan_claim"
	sectionCounter = "section_counter"
	orphanPin      = "orphan_pin"
	lostNews       = "lost_news"
)

// unmendedKinds are the kinds of what a person must look into; see persist.Store.Unmended.
var unmendedKinds = []string{"order_without_claim", "charge_without_result", "refund_overdue", "refund_refused"}

// ReconcileBook is the order book as a reconciler needs it; see persist.Store.
type ReconcileBook interface {
	LostCharges(ctx context.Context, event onsale.EventID, age time.Duration, most int) ([]onsale.Charge, error)
	ChargesReminded(ctx context.Context, orders []onsale.OrderID, age time.Duration) error
	ForgetReminders(ctx context.Context, most int) (int64, error)
	MendClaims(ctx context.Context, event onsale.EventID) (claims, counters int64, err error)
	Unmended(ctx context.Context, event onsale.EventID, overdue time.Duration) (map[string]int64, error)
}

// ReconcilerConfig says what a reconciler works with. All but Metrics and Log are needed.
type ReconcilerConfig struct {
	Book   ReconcileBook
	Events func() []*onsale.Layout
	// Idle reports whether no charge and no result waits in Kafka.
	Idle     func(ctx context.Context) (bool, error)
	Producer *kafka.Producer // outlives the reconciler
	Metrics  *metrics.Set    // default: one that nobody reads
	Log      *slog.Logger    // default: slog.Default()
}

// Reconciler looks through the book for what a crash, a fault or a mistake has left, and
// settles it:
//
//	orders claimed, and no result     their charge is produced again; its key is the order's
//	claims without a live order       dropped, and the counters corrected
//	counters that are wrong           corrected
//
// Recovery does the same for pins, the Refunder for captures that bought nothing. What is
// settled is counted by kind; what can only be told is a gauge, for someone to be called by.
// Any number of them may run: what one has mended the others don't find.
type Reconciler struct {
	cfg   ReconcilerConfig
	every time.Duration // reconcileEvery, except in tests
	ages  struct{ lost, anyway time.Duration }
	group lifecycle.Group
}

// NewReconciler returns a reconciler that has not started.
func NewReconciler(cfg ReconcilerConfig) *Reconciler {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	for _, kind := range []string{lostCharge, orphanClaim, sectionCounter} {
		reconciled(cfg.Metrics, kind, 0) // of what first shows as 1 nobody sees that it rose
	}
	r := &Reconciler{cfg: cfg, every: reconcileEvery}
	for _, kind := range unmendedKinds {
		r.unmended(kind).Set(0)
	}
	r.ages.lost, r.ages.anyway = lostAge, lostAnyway
	return r
}

// Start begins to look, about every reconcileEvery: several processes don't look at once.
func (r *Reconciler) Start(ctx context.Context) error {
	r.group.Go(ctx, func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(r.every/2 + rand.N(r.every)):
				if err := r.round(ctx); err != nil && ctx.Err() == nil {
					r.cfg.Log.Warn("the book could not be looked through; it is tried again", "error", err)
				}
			}
		}
	})
	return nil
}

// Stop ends a round under way and returns.
func (r *Reconciler) Stop(ctx context.Context) error { return r.group.Stop(ctx) }

// round looks through every event's book.
func (r *Reconciler) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	idle, err := r.cfg.Idle(ctx)
	errs := []error{err} // unknown is not idle
	_, forgetting := r.cfg.Book.ForgetReminders(ctx, forgetMost)
	errs = append(errs, forgetting)
	unmended := map[string]int64{}
	for _, l := range r.cfg.Events() {
		if err := r.reconcile(ctx, l.Event.ID, idle, unmended); err != nil {
			errs = append(errs, fmt.Errorf("reconcile %s: %w", l.Event.ID, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err // the gauges stay as they were: this round has not seen everything
	}
	for kind, n := range unmended {
		r.unmended(kind).Set(float64(n))
	}
	return nil
}

func (r *Reconciler) reconcile(ctx context.Context, event onsale.EventID, idle bool, unmended map[string]int64) error {
	age := r.ages.anyway
	if idle {
		age = r.ages.lost
	}
	charges, err := r.cfg.Book.LostCharges(ctx, event, age, reconcileMost)
	if err != nil {
		return err
	}
	again, orders := make([]kafka.Message, len(charges)), make([]onsale.OrderID, len(charges))
	for i, c := range charges {
		orders[i] = c.Order
		again[i] = kafka.Message{Topic: onsale.TopicCharges, Key: string(c.Order), Value: c}
	}
	if err := r.cfg.Producer.Produce(ctx, again...); err != nil {
		return fmt.Errorf("produce %d charges again: %w", len(again), err)
	}
	// Only now: a charge that was not produced is lost still.
	if err := r.cfg.Book.ChargesReminded(ctx, orders, age); err != nil {
		return err
	}
	r.settled(lostCharge, int64(len(charges)), event)
	claims, counters, err := r.cfg.Book.MendClaims(ctx, event)
	if err != nil {
		return err
	}
	r.settled(orphanClaim, claims, event)
	r.settled(sectionCounter, counters, event)
	found, err := r.cfg.Book.Unmended(ctx, event, overdueAge)
	for kind, n := range found {
		unmended[kind] += n
		if n > 0 {
			r.cfg.Log.Error("found, and not to be mended without a person", "event", event, "kind", kind, "found", n)
		}
	}
	return err
}

func (r *Reconciler) unmended(kind string) *metrics.Gauge {
	return r.cfg.Metrics.GetOrCreateGauge(`onsale_unreconciled{kind="`+kind+`"}`, nil)
}

func (r *Reconciler) settled(kind string, n int64, event onsale.EventID) {
	reconciled(r.cfg.Metrics, kind, n)
	if n > 0 {
		r.cfg.Log.Warn("the book was reconciled", "event", event, "kind", kind, "settled", n)
	}
}

// reconciled counts what was found and settled, by kind.
func reconciled(set *metrics.Set, kind string, n int64) {
	set.GetOrCreateCounter(`onsale_reconciled_total{kind="` + kind + `"}`).AddInt64(n)
}
