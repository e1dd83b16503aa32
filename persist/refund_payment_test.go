package persist

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"onsale"
)

// chargedTwice is a sold order of two places that was captured once more.
func (b *book) chargedTwice() (p onsale.Purchase, good, stray string) {
	b.t.Helper()
	p = b.sold(floor(2))
	second := captured(p)
	second.Reference = "a_second" // sorted before the first
	b.finalise(second)
	return p, captured(p).Reference, second.Reference
}

func (b *book) wantAmbiguous(p onsale.Purchase, key string, ask onsale.RefundRequest, among ...string) {
	b.t.Helper()
	_, err := b.AskRefund(b.t.Context(), p.Order, key, ask)
	refusal, ok := errors.AsType[*onsale.Error](err)
	if !ok || refusal.Code != onsale.CodeAmbiguousRefund || !slices.Equal(refusal.Payments, among) {
		b.t.Fatalf("%+v: got %+v, want it ambiguous among %v", ask, err, among)
	}
	for _, reference := range among {
		if !strings.Contains(refusal.Detail, reference) {
			b.t.Errorf("%q doesn't say which there are", refusal.Detail)
		}
	}
}

func TestRefundOfADoubleChargeThatWasRefusedNeverTakesTheGoodPayment(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p, good, stray := b.chargedTwice()
	whole, part := onsale.RefundRequest{}, onsale.RefundRequest{Amount: new(int64(100))}
	b.wantAmbiguous(p, "k", whole, good, stray) // the provider is being asked
	b.refuseRefunds()
	b.wantAmbiguous(p, "k", whole, good, stray)
	b.wantAmbiguous(p, "k", part, good, stray)
	if n := b.number(`SELECT count(*) FROM refunds WHERE asked_by = 'operator'`); n != 0 || b.ticketStates(p) != "va va" {
		t.Fatalf("%d refunds, tickets %s", n, b.ticketStates(p))
	}
	entry := b.askRefund(p, "k", onsale.RefundRequest{Payment: stray})
	if entry.Payment != stray || entry.Amount != p.Amount || len(entry.Tickets) != 0 {
		t.Fatalf("%+v", entry)
	}
	if news := b.endRefund(entry.ID, onsale.RefundMade); news != nil || b.state(p.Order) != onsale.OrderTicketed || b.ticketStates(p) != "va va" {
		t.Errorf("%+v, tickets %s", news, b.ticketStates(p))
	}
	if r := b.audit(); !r.OK() || r.DoubleCharges != 0 {
		t.Error(r.Err())
	}
	// Now only the good one is left, and it need not be named.
	if entry := b.askRefund(p, "k2", whole); entry.Payment != good || len(entry.Tickets) != 2 {
		t.Errorf("%+v", entry)
	}
}

func TestRefundOfTicketsIsOfThePaymentThatBoughtThem(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p, good, _ := b.chargedTwice()
	b.refuseRefunds()
	if entry := b.askRefund(p, "k", onsale.RefundRequest{Tickets: []int{2}}); entry.Payment != good {
		t.Errorf("%+v", entry)
	}
}

func TestRefundOfANamedPaymentIsOfThatOrRefused(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p, good, stray := b.chargedTwice()
	for name, c := range map[string]struct {
		ask  onsale.RefundRequest
		code onsale.Code
	}{
		"a payment that it hasn't":       {onsale.RefundRequest{Payment: "ch_none"}, onsale.CodeBadRequest},
		"one that is being paid back":    {onsale.RefundRequest{Payment: stray}, onsale.CodeNotRefundable},
		"tickets that it did not buy":    {onsale.RefundRequest{Payment: stray, Tickets: []int{1}}, onsale.CodeNotRefundable},
		"a name that is no line of text": {onsale.RefundRequest{Payment: "a\nb"}, onsale.CodeBadRequest},
		"a name that is too long":        {onsale.RefundRequest{Payment: strings.Repeat("x", onsale.MaxReferenceLength+1)}, onsale.CodeBadRequest},
	} {
		_, err := b.AskRefund(t.Context(), p.Order, "k", c.ask)
		b.wantRefused(name, c.code, err)
	}
	due, err := b.TakeRefunds(t.Context(), 9, time.Minute)
	if err != nil || len(due) != 1 {
		t.Fatalf("%+v, %v", due, err)
	}
	b.endRefund(due[0].ID, onsale.RefundMade)
	_, err = b.AskRefund(t.Context(), p.Order, "k", onsale.RefundRequest{Payment: stray})
	b.wantRefused("one that is paid back", onsale.CodeNotRefundable, err)
	first := b.askRefund(p, "k", onsale.RefundRequest{Payment: good})
	if again := b.askRefund(p, "k", onsale.RefundRequest{Payment: good}); again.ID != first.ID || again.Payment != good {
		t.Errorf("%+v and %+v", first, again)
	}
	_, err = b.AskRefund(t.Context(), p.Order, "k", onsale.RefundRequest{})
	b.wantRefused("another one under the key", onsale.CodeKeyReused, err)
}
