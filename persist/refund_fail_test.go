package persist

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"onsale"
)

// refunded has a refund asked for, made and told.
func (b *book) refunded(p onsale.Purchase, key string, ask onsale.RefundRequest) *onsale.RefundEntry {
	b.t.Helper()
	entry := b.askRefund(p, key, ask)
	b.endRefund(entry.ID, onsale.RefundMade)
	if err := b.RefundTold(b.t.Context(), entry.ID); err != nil {
		b.t.Fatal(err)
	}
	return entry
}

// fails has a refund fail that was made, twice: a repeat changes nothing.
func (b *book) fails(id onsale.RefundID) {
	b.t.Helper()
	for range 2 {
		if err := b.RefundFailed(b.t.Context(), id, "expired_or_canceled_card"); err != nil {
			b.t.Fatal(err)
		}
	}
}

// wantOwedAgain holds the audit and the gauges to so many refunds that have failed.
func (b *book) wantOwedAgain(what string, n int) {
	b.t.Helper()
	named := 0
	for _, v := range b.audit().Violations {
		if v.Invariant == onsale.InvariantCharges && strings.Contains(v.Detail, "failed since (expired_or_canceled_card)") {
			named++
		}
	}
	unmended, err := b.Unmended(b.t.Context(), b.event.ID, time.Hour)
	if err != nil {
		b.t.Fatal(err)
	}
	if named != n || unmended["refund_failed"] != int64(n) {
		b.t.Errorf("%s: the audit names %d and %d are counted, want %d", what, named, unmended["refund_failed"], n)
	}
}

func TestRefundThatFailsAfterItWasMadeIsNotPaidBackAndWaitsForAPerson(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := b.sold(stalls("A-1"), floor(1))
	entry := b.refunded(p, "k", onsale.RefundRequest{})
	b.sold(stalls("A-1")) // its seat is someone else's
	b.wantOwedAgain("made", 0)
	b.fails(entry.ID)
	if b.state(p.Order) != onsale.OrderRefunded || b.ticketStates(p) != "vo vo" {
		t.Errorf("%s, tickets %s", b.state(p.Order), b.ticketStates(p))
	}
	if n := b.number(`SELECT paying_back FROM payments WHERE state = 'settled' AND order_id = '` + string(p.Order) + `'`); n != 0 {
		t.Errorf("%d count as paid back", n)
	}
	if refunds, err := b.Refunds(t.Context(), p.Order); err != nil || refunds[0].State != onsale.RefundStateFailed || refunds[0].Refusal != "expired_or_canceled_card" {
		t.Errorf("%+v, %v", refunds, err)
	}
	b.wantOwedAgain("failed", 1)
	if r := b.audit(); r.DoubleCharges != 1 || len(r.Violations) != 1 {
		t.Errorf("%d double charges, %v", r.DoubleCharges, r.Err())
	}
	if news := b.endRefund(entry.ID, onsale.RefundMade); news != nil {
		t.Errorf("a late answer tells %+v", news)
	}

	again := b.askRefund(p, "k2", onsale.RefundRequest{}) // all that is left: no tickets, all the money
	if again.Amount != p.Amount || len(again.Tickets) != 0 {
		t.Fatalf("%+v", again)
	}
	b.endRefund(again.ID, onsale.RefundMade)
	b.wantOwedAgain("paid back again", 0)
	if r := b.audit(); !r.OK() || b.state(p.Order) != onsale.OrderRefunded {
		t.Error(r.Err())
	}
}

func TestRefundOfATicketThatFailsLeavesTheOthers(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := b.sold(floor(2))
	b.fails(b.refunded(p, "k", onsale.RefundRequest{Tickets: []int{2}}).ID)
	if b.state(p.Order) != onsale.OrderTicketed || b.ticketStates(p) != "va vo" {
		t.Errorf("%s, tickets %s", b.state(p.Order), b.ticketStates(p))
	}
	b.wantOwedAgain("failed", 1)
	b.refunded(p, "k2", onsale.RefundRequest{Amount: new(int64(2500))})
	b.wantOwedAgain("paid back again", 0)
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}

func TestRefundOfAStrayThatFailsIsStrandedMoney(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p, _, stray := b.chargedTwice()
	due, err := b.TakeRefunds(t.Context(), 9, time.Minute)
	if err != nil || len(due) != 1 {
		t.Fatalf("%+v, %v", due, err)
	}
	b.endRefund(due[0].ID, onsale.RefundMade) // nobody is told of it
	b.fails(due[0].ID)
	b.wantOwedAgain("failed", 1)
	if r := b.audit(); r.DoubleCharges != 1 {
		t.Errorf("%d double charges", r.DoubleCharges)
	}
	b.endRefund(b.askRefund(p, "k", onsale.RefundRequest{Payment: stray}).ID, onsale.RefundMade)
	if r := b.audit(); !r.OK() || r.DoubleCharges != 0 {
		t.Error(r.Err())
	}
}

func TestRefundThatWasMadeIsLookedAtForAMonth(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := b.sold(floor(1))
	asked := b.askRefund(p, "k", onsale.RefundRequest{})
	b.wantRefused("a hint at what is due", onsale.CodeUnavailable, b.LookAtRefund(t.Context(), asked.ID))
	b.endRefund(asked.ID, onsale.RefundMade)
	b.wantRefused("a hint at what is not told", onsale.CodeUnavailable, b.LookAtRefund(t.Context(), asked.ID))
	if err := b.RefundTold(t.Context(), asked.ID); err != nil {
		t.Fatal(err)
	}
	taken := func() int {
		t.Helper()
		due, err := b.TakeRefunds(t.Context(), 9, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range due {
			if !d.Told || d.Result == nil || d.ID != asked.ID {
				t.Errorf("%+v", d)
			}
		}
		return len(due)
	}
	hours := func() int64 {
		t.Helper()
		return b.number(`SELECT CASE WHEN next_at = 'infinity' THEN -1 ELSE round(extract(epoch FROM next_at - now()) / 3600) END FROM refunds`)
	}
	stands := func() error {
		return b.RefundStands(t.Context(), asked.ID, int(b.number(`SELECT attempts FROM refunds`)))
	}
	if taken() != 0 || hours() != 24 {
		t.Errorf("it is looked at in %d hours", hours())
	}
	for _, age := range []struct{ days, hours int64 }{{1, 24}, {3, 72}, {20, 480}, {33, -1}} {
		b.corrupt(`UPDATE refunds SET next_at = now(), ended_at = now() - interval '1 day' * ` + strconv.FormatInt(age.days, 10))
		if n := taken(); n != 1 {
			t.Fatalf("%d days old it is taken %d times", age.days, n)
		}
		if err := stands(); err != nil || hours() != age.hours {
			t.Errorf("%d days old it is looked at again in %d hours, want %d; %v", age.days, hours(), age.hours, err)
		}
	}
	for _, id := range []onsale.RefundID{asked.ID, onsale.NewRefundID()} {
		if err := b.LookAtRefund(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if n := taken(); n != 1 {
		t.Errorf("at a hint it is taken %d times", n)
	}
	if err := errors.Join(b.LookAtRefund(t.Context(), asked.ID), stands()); err != nil || taken() != 1 {
		t.Errorf("a hint while it is looked at is forgotten: %v", err)
	}
	before := int(b.number(`SELECT attempts FROM refunds`))
	if err := b.LookAtRefund(t.Context(), asked.ID); err != nil || taken() != 1 {
		t.Errorf("it isn't taken at a hint; %v", err)
	}
	if err := b.RefundStands(t.Context(), asked.ID, before); err != nil || hours() != 0 {
		t.Errorf("what another worker has taken meanwhile is looked at in %d hours; %v", hours(), err)
	}
	if err := b.PutRefundBack(t.Context(), asked.ID, 0); err != nil || taken() != 1 {
		t.Errorf("put back it isn't taken; %v", err)
	}
	b.fails(asked.ID)
	if err := b.LookAtRefund(t.Context(), asked.ID); err != nil || hours() != -1 {
		t.Errorf("what has failed is looked at again: %v", err)
	}
}
