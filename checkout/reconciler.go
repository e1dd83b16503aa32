package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// reconcileEvery is how often the book is looked through.
	reconcileEvery = 2 * time.Minute
	// reconcileRoundTime bounds one round. The next one begins where it has ended.
	reconcileRoundTime = 5 * time.Minute
	// reconcileStepTime bounds one step of one event: whatever hangs there, the others are
	// looked at. It is more than the book gives the statements of one.
	reconcileStepTime = time.Minute
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

// ReconcileBook is the order book as a reconciler needs it; see persist.Store.
type ReconcileBook interface {
	LostCharges(ctx context.Context, event onsale.EventID, age time.Duration, most int) ([]onsale.Charge, error)
	ChargesReminded(ctx context.Context, orders []onsale.OrderID, age time.Duration) error
	ForgetReminders(ctx context.Context, most int) (int64, error)
	MendClaims(ctx context.Context, event onsale.EventID) (claims, counters int64, err error)
	// Unmended counts by kind; what can't be counted is left out, and the error says why.
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
//
// The promise: no event, and nothing that is wrong with one, keeps the others from being
// looked at; and what could not be looked at is counted, so that silence means that all is
// well. So each step has a time of its own and fails by itself, a round begins where the
// last one has ended, and a gauge is what was last counted of each event (sightings).
type Reconciler struct {
	cfg   ReconcilerConfig
	every time.Duration // reconcileEvery, except in tests
	times struct{ round, step time.Duration }
	ages  struct{ lost, anyway time.Duration }
	seen  *sightings
	last  onsale.EventID // of round's goroutine: the event that was looked through last; "" before the first
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
	r.times.round, r.times.step = reconcileRoundTime, reconcileStepTime
	r.ages.lost, r.ages.anyway = lostAge, lostAnyway
	r.seen = newSightings(cfg.Metrics)
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
					r.cfg.Log.Warn("not all of the book could be looked through; it is tried again", "error", err)
				}
			}
		}
	})
	return nil
}

// Stop ends a round under way and returns.
func (r *Reconciler) Stop(ctx context.Context) error { return r.group.Stop(ctx) }

// round looks through every event's book, as far as it comes in its time.
func (r *Reconciler) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.times.round)
	defer cancel()
	events := r.inTurn()
	r.seen.expect(events)
	defer r.seen.show()
	idle := false // unknown is not idle
	errs := []error{
		r.step(ctx, "idle", func(ctx context.Context) (err error) { idle, err = r.cfg.Idle(ctx); return err }),
		r.step(ctx, "reminders", func(ctx context.Context) error { _, err := r.cfg.Book.ForgetReminders(ctx, forgetMost); return err }),
	}
	for i, event := range events {
		err := r.reconcile(ctx, event, idle)
		if err != nil {
			errs = append(errs, fmt.Errorf("reconcile %s: %w", event, err))
		}
		if ctx.Err() != nil {
			r.seen.missed("event", len(events)-i-1)
			return errors.Join(append(errs, ctx.Err())...)
		}
		r.last = event
		if err == nil {
			r.seen.looked(event)
		}
	}
	return errors.Join(errs...)
}

// inTurn is every event, beginning with the one behind that which was looked through last;
// at first with any, since several processes may begin together.
func (r *Reconciler) inTurn() []onsale.EventID {
	var events []onsale.EventID
	for _, l := range r.cfg.Events() {
		events = append(events, l.Event.ID)
	}
	if len(events) == 0 {
		return nil
	}
	slices.Sort(events)
	first := rand.IntN(len(events))
	if r.last != "" {
		at, known := slices.BinarySearch(events, r.last)
		if known {
			at++
		}
		first = at % len(events)
	}
	return slices.Concat(events[first:], events[:first])
}

// reconcile takes every step of an event, whatever becomes of the others.
func (r *Reconciler) reconcile(ctx context.Context, event onsale.EventID, idle bool) error {
	return errors.Join(
		r.step(ctx, "lost_charges", func(ctx context.Context) error { return r.chargeAgain(ctx, event, idle) }),
		r.step(ctx, "claims", func(ctx context.Context) error { return r.mendClaims(ctx, event) }),
		r.step(ctx, "unmended", func(ctx context.Context) error { return r.countUnmended(ctx, event) }),
	)
}

// step takes one step in its time, and counts it if it could not be taken.
func (r *Reconciler) step(ctx context.Context, name string, take func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.times.step)
	defer cancel()
	if err := take(ctx); err != nil {
		r.seen.missed(name, 1)
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (r *Reconciler) chargeAgain(ctx context.Context, event onsale.EventID, idle bool) error {
	age := r.ages.anyway
	if idle {
		age = r.ages.lost
	}
	charges, err := r.cfg.Book.LostCharges(ctx, event, age, reconcileMost)
	if err != nil {
		return err
	}
	if len(charges) == 0 {
		return nil
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
	return nil
}

func (r *Reconciler) mendClaims(ctx context.Context, event onsale.EventID) error {
	claims, counters, err := r.cfg.Book.MendClaims(ctx, event)
	if err != nil {
		return err
	}
	r.settled(orphanClaim, claims, event)
	r.settled(sectionCounter, counters, event)
	return nil
}

func (r *Reconciler) countUnmended(ctx context.Context, event onsale.EventID) error {
	found, err := r.cfg.Book.Unmended(ctx, event, overdueAge)
	for kind, n := range found {
		r.seen.found(event, kind, n)
		if n > 0 {
			r.cfg.Log.Error("found, and not to be mended without a person", "event", event, "kind", kind, "found", n)
		}
	}
	return err
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
