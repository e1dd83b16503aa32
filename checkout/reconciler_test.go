package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// ledgerOfClaims is a book for the reconciler.
type ledgerOfClaims struct {
	ages     []time.Duration
	reminded []onsale.OrderID
	forgets  int
	lost     []onsale.Charge
	claims   int64
	unmended map[string]int64
	err      error
}

func (b *ledgerOfClaims) LostCharges(_ context.Context, _ onsale.EventID, age time.Duration, _ int) ([]onsale.Charge, error) {
	b.ages = append(b.ages, age)
	return b.lost, b.err
}

func (b *ledgerOfClaims) ChargesReminded(_ context.Context, orders []onsale.OrderID, _ time.Duration) error {
	b.reminded = append(b.reminded, orders...)
	return b.err
}

func (b *ledgerOfClaims) ForgetReminders(context.Context, int) (int64, error) {
	b.forgets++
	return 0, b.err
}

func (b *ledgerOfClaims) MendClaims(context.Context, onsale.EventID) (claims, counters int64, err error) {
	return b.claims, 1, b.err
}

func (b *ledgerOfClaims) Unmended(context.Context, onsale.EventID, time.Duration) (map[string]int64, error) {
	return b.unmended, b.err
}

func TestReconcilerAsksForLostChargesAgainCountsAndTells(t *testing.T) {
	t.Parallel()
	h, k, set := newHall(t), newLine(t), metrics.NewSet()
	lost := onsale.Charge{Order: h.pin(alice).ID.Order(), Event: "concert", Amount: 5000, Currency: "EUR", PaymentToken: "tok", At: time.Now().UTC()}
	book := &ledgerOfClaims{lost: []onsale.Charge{lost}, claims: 3, unmended: map[string]int64{"refund_overdue": 2}}
	idle, idleErr := true, error(nil)
	r := NewReconciler(ReconcilerConfig{Book: book, Producer: k.producer, Metrics: set, Log: quiet(),
		Events: func() []*onsale.Layout { return []*onsale.Layout{h.layout} }, Idle: func(context.Context) (bool, error) { return idle, idleErr }})
	if err := r.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read[onsale.Charge](k, onsale.TopicCharges, 1); got[0] != lost {
		t.Errorf("produced %+v, want the charge as it was", got[0])
	}
	for kind, want := range map[string]uint64{"lost_charge": 1, "orphan_claim": 3, "section_counter": 1} {
		if n := set.GetOrCreateCounter(`onsale_reconciled_total{kind="` + kind + `"}`).Get(); n != want {
			t.Errorf("%d %s, want %d", n, kind, want)
		}
	}
	gauge := set.GetOrCreateGauge(`onsale_unreconciled{kind="refund_overdue"}`, nil)
	if gauge.Get() != 2 {
		t.Errorf("the gauge says %v", gauge.Get())
	}
	idle, idleErr, book.unmended = false, errCut, map[string]int64{"refund_overdue": 0}
	if err := r.round(t.Context()); !errors.Is(err, errCut) || gauge.Get() != 0 {
		t.Errorf("a round that doesn't know whether Kafka is idle: %v, gauge %v", err, gauge.Get())
	}
	if len(book.reminded) != 2 || book.reminded[0] != lost.Order || book.forgets != 2 {
		t.Errorf("reminded %v, forgot %d times", book.reminded, book.forgets)
	}
	if book.ages[0] != lostAge || book.ages[1] != lostAnyway {
		t.Errorf("the ages are %v", book.ages)
	}
}

func TestAChargeThatCouldNotBeProducedDoesNotCountAsAskedFor(t *testing.T) {
	t.Parallel()
	h, k := newHall(t), newPrivateLine(t)
	book := &ledgerOfClaims{lost: []onsale.Charge{{Order: h.pin(alice).ID.Order(), Event: "concert", Amount: 1, Currency: "EUR", PaymentToken: "tok"}}}
	r := NewReconciler(ReconcilerConfig{Book: book, Producer: k.producer, Log: quiet(),
		Events: func() []*onsale.Layout { return []*onsale.Layout{h.layout} }, Idle: func(context.Context) (bool, error) { return true, nil }})
	k.stop()
	if err := r.round(t.Context()); err == nil || len(book.reminded) != 0 {
		t.Errorf("without Kafka: %v, reminded %v", err, book.reminded)
	}
	k.start()
	eventually(t, "with Kafka a round succeeds", func() bool { return r.round(t.Context()) == nil })
	if len(book.reminded) != 1 {
		t.Errorf("reminded %v", book.reminded)
	}
}

func TestNewsOfAnOrderThatRedisWasNotToldOfAreToldAgainOnce(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	orphan, untold := p.pin(alice), p.pin(bob)
	p.order(untold, onsale.OrderTicketed)
	p.owe("A-1")
	for range 2 {
		p.mustRound()
	}
	if len(p.told) != 1 || p.told[0].Order != untold.ID.Order() || p.told[0].State != onsale.OrderTicketed || p.told[0].Buyer != bob {
		t.Errorf("told %+v", p.told)
	}
	p.wantState(orphan, onsale.HoldReleased)
	for kind, want := range map[string]uint64{"orphan_pin": 1, "lost_news": 1} {
		if n := p.cfg.Metrics.GetOrCreateCounter(`onsale_reconciled_total{kind="` + kind + `"}`).Get(); n != want {
			t.Errorf("%d %s, want %d", n, kind, want)
		}
	}
}

// shelves is a book of many events, of which some hang until they are given up, or fail.
type shelves struct {
	hangs    map[onsale.EventID]bool
	fails    map[onsale.EventID]bool
	unmended map[onsale.EventID]map[string]int64
	mended   []onsale.EventID // in the order in which their claims were
}

func (b *shelves) LostCharges(ctx context.Context, event onsale.EventID, _ time.Duration, _ int) ([]onsale.Charge, error) {
	if b.hangs[event] {
		<-ctx.Done()
	}
	return nil, ctx.Err()
}

func (b *shelves) ChargesReminded(ctx context.Context, _ []onsale.OrderID, _ time.Duration) error {
	return ctx.Err()
}

func (b *shelves) ForgetReminders(ctx context.Context, _ int) (int64, error) { return 0, ctx.Err() }

func (b *shelves) MendClaims(ctx context.Context, event onsale.EventID) (claims, counters int64, err error) {
	b.mended = append(b.mended, event)
	if b.hangs[event] {
		<-ctx.Done()
	}
	return 0, 0, ctx.Err()
}

func (b *shelves) Unmended(_ context.Context, event onsale.EventID, _ time.Duration) (map[string]int64, error) {
	if b.fails[event] {
		return map[string]int64{"refund_failed": b.unmended[event]["refund_failed"]}, errCut // the others can't be counted
	}
	return b.unmended[event], nil
}

// lookThrough runs f, in a bubble of simulated time, with a reconciler of the events.
func lookThrough(t *testing.T, events []onsale.EventID, f func(b *shelves, r *Reconciler, set *metrics.Set)) {
	t.Helper()
	k := newLine(t) // outside of the bubble, in which it is asked for nothing
	synctest.Test(t, func(t *testing.T) {
		b, set := &shelves{hangs: map[onsale.EventID]bool{}, fails: map[onsale.EventID]bool{}, unmended: map[onsale.EventID]map[string]int64{}}, metrics.NewSet()
		var layouts []*onsale.Layout
		for _, event := range events {
			layouts = append(layouts, &onsale.Layout{Event: &onsale.Event{ID: event}})
		}
		f(b, NewReconciler(ReconcilerConfig{Book: b, Producer: k.producer, Metrics: set, Log: quiet(), Events: func() []*onsale.Layout { return layouts },
			Idle: func(context.Context) (bool, error) { return true, nil }}), set)
	})
}

func missed(set *metrics.Set, step string) uint64 {
	return set.GetOrCreateCounter(`onsale_reconcile_missed_total{step="` + step + `"}`).Get()
}

func TestAnEventThatHangsKeepsNoOtherFromBeingLookedAt(t *testing.T) {
	t.Parallel()
	lookThrough(t, []onsale.EventID{"a", "b", "c"}, func(b *shelves, r *Reconciler, set *metrics.Set) {
		b.hangs["a"] = true
		for _, event := range []onsale.EventID{"a", "b", "c"} {
			b.unmended[event] = map[string]int64{"refund_overdue": 1}
		}
		if err := r.round(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := set.GetOrCreateGauge(`onsale_unreconciled{kind="refund_overdue"}`, nil).Get(); n != 3 || len(b.mended) != 3 {
			t.Errorf("the gauge says %v; claims were looked at of %v", n, b.mended)
		}
		if missed(set, "lost_charges") != 1 || missed(set, "claims") != 1 || missed(set, "unmended") != 0 || missed(set, "event") != 0 {
			t.Error("what could not be looked at is not counted")
		}
		if age := r.seen.age(); age < (2 * reconcileStepTime).Seconds() {
			t.Errorf("the event that was not looked through waits %v seconds", age)
		}
		b.hangs["a"] = false
		if err := r.round(t.Context()); err != nil || r.seen.age() != 0 {
			t.Errorf("%v, and some event waits %v seconds", err, r.seen.age())
		}
	})
}

func TestARoundBeginsWhereTheLastOneHasEndedAndReachesEveryEvent(t *testing.T) {
	t.Parallel()
	var events []onsale.EventID
	for i := range 20 {
		events = append(events, onsale.EventID(fmt.Sprintf("e%02d", i)))
	}
	lookThrough(t, events, func(b *shelves, r *Reconciler, set *metrics.Set) {
		for _, event := range events {
			b.hangs[event] = true // two steps of it: a round reaches two events and begins a third
		}
		for range 10 {
			if err := r.round(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		if missed(set, "event") < 10*16 {
			t.Errorf("%d events were not reached", missed(set, "event"))
		}
		slices.Sort(b.mended)
		if !slices.Equal(slices.Compact(b.mended), events) {
			t.Errorf("looked at %v", b.mended)
		}
	})
}

func TestAKindThatCantBeCountedKeepsItsGaugeAndTheOthersTheirs(t *testing.T) {
	t.Parallel()
	lookThrough(t, []onsale.EventID{"a", "b"}, func(b *shelves, r *Reconciler, set *metrics.Set) {
		gauge := func(kind string) float64 {
			return set.GetOrCreateGauge(`onsale_unreconciled{kind="`+kind+`"}`, nil).Get()
		}
		b.unmended["a"] = map[string]int64{"refund_failed": 1, "refund_overdue": 2}
		b.unmended["b"] = map[string]int64{"refund_failed": 4, "refund_overdue": 8}
		if err := r.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.fails["a"] = true
		b.unmended["a"] = map[string]int64{"refund_failed": 0, "refund_overdue": 0}
		b.unmended["b"] = map[string]int64{"refund_failed": 0, "refund_overdue": 16}
		if err := r.round(t.Context()); !errors.Is(err, errCut) {
			t.Errorf("got %v", err)
		}
		if gauge("refund_failed") != 0 || gauge("refund_overdue") != 2+16 || missed(set, "unmended") != 1 {
			t.Errorf("refund_failed %v, refund_overdue %v", gauge("refund_failed"), gauge("refund_overdue"))
		}
	})
}
