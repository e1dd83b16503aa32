package checkout

import (
	"context"
	"errors"
	"testing"
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
	idle, idleErr, book.err, book.unmended = false, errCut, nil, map[string]int64{"refund_overdue": 0}
	if err := r.round(t.Context()); !errors.Is(err, errCut) || gauge.Get() != 2 {
		t.Errorf("a round that did not see everything: %v, gauge %v", err, gauge.Get())
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
