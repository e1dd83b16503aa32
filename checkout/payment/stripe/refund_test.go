package stripe

import (
	"errors"
	"testing"

	"onsale"
	"onsale/checkout/payment"
)

func TestRefundIsPaidBackOnceWhateverItsAnswer(t *testing.T) {
	for name, failing := range map[string][]failure{
		"answered":             nil,
		"no answer":            {{suffix: "/refunds"}},
		"paid back, no answer": {{suffix: "none"}, {suffix: "/refunds", after: true}, {suffix: "/refunds", after: true}},
		"a 500":                {{suffix: "/refunds", status: 500}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			p := newProvider(t, f.server.URL)
			c := newCharge("pm_card_visa")
			paid, err := p.Charge(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			r := onsale.Refund{ID: onsale.NewRefundID(), Order: c.Order, Event: c.Event, Reference: paid.Reference, Amount: 1200, Currency: "EUR", Reason: "operator"}
			f.failNext(failing...)
			var first onsale.RefundResult
			for range 4 {
				if first, err = p.Refund(t.Context(), r); err == nil {
					break
				}
			}
			if err != nil || first.Outcome != onsale.RefundMade || first.ID != r.ID || first.Reference == "" {
				t.Fatalf("%+v, %v", first, err)
			}
			f.mu.Lock()
			clear(f.keys) // a day later
			f.mu.Unlock()
			if again, err := p.Refund(t.Context(), r); err != nil || again != first {
				t.Errorf("again %+v, %v", again, err)
			}
			rest := r
			rest.ID, rest.Amount = onsale.NewRefundID(), 3001
			if too, err := p.Refund(t.Context(), rest); err != nil || too.Outcome != onsale.RefundRefused || too.Reason != "charge_already_refunded" {
				t.Errorf("more than is left: %+v, %v", too, err)
			}
			if got := f.intents[paid.Reference].refunded; got != 1200 {
				t.Errorf("%d were paid back", got)
			}
		})
	}
}

func TestRefundThatFailsAfterItWasMadeIsFoundSoAndPaysNothingAgain(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	c := newCharge("pm_card_visa")
	paid, err := p.Charge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r := onsale.Refund{ID: onsale.NewRefundID(), Order: c.Order, Event: c.Event, Reference: paid.Reference, Amount: 1200, Currency: "EUR"}
	if _, found, err := p.LookUpRefund(t.Context(), r); found || err != nil {
		t.Errorf("before it was asked for: %v, %v", found, err)
	}
	if len(f.refunds) != 0 {
		t.Fatal("looking pays back")
	}
	made, err := p.Refund(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		status  string
		outcome onsale.RefundOutcome // "": it isn't known
	}{
		{"succeeded", onsale.RefundMade}, {"pending", ""}, {"requires_action", ""}, {"succeeded", onsale.RefundMade},
		{"failed", onsale.RefundRefused}, {"canceled", onsale.RefundRefused},
	} {
		f.mu.Lock()
		f.refunds[0]["status"], f.refunds[0]["failure_reason"] = step.status, "expired_or_canceled_card"
		f.mu.Unlock()
		now, found, err := p.LookUpRefund(t.Context(), r)
		again, askErr := p.Refund(t.Context(), r)
		if now != again || now.Outcome != step.outcome || found != (step.outcome != "") ||
			errors.Is(err, payment.ErrPending) != !found || errors.Is(askErr, payment.ErrPending) != !found {
			t.Errorf("%s: found %v, %+v, %v; asked again %+v, %v", step.status, found, now, err, again, askErr)
		}
		if step.outcome == onsale.RefundMade && now != made || step.outcome == onsale.RefundRefused && now.Reason != "expired_or_canceled_card" {
			t.Errorf("%s: %+v", step.status, now)
		}
	}
	if len(f.refunds) != 1 {
		t.Errorf("%d refunds were made", len(f.refunds))
	}
}

func TestLedgerSaysWhatWasTakenAndPaidBack(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	want := map[onsale.OrderID]onsale.LedgerEntry{}
	for _, token := range []string{"pm_card_visa", "pm_declined", "ctoken_visa", "pm_3ds", "pm_card_visa"} {
		c := newCharge(token)
		r, err := p.Charge(t.Context(), c)
		if err != nil {
			continue // undecided, so in no ledger
		}
		e := onsale.LedgerEntry{Order: c.Order, Reference: r.Reference, Outcome: r.Outcome, Amount: 4200, Currency: "EUR"}
		if r.Outcome == onsale.ChargeCaptured {
			e.Captures, e.Refunded = 1, 200
			back := onsale.Refund{ID: onsale.NewRefundID(), Order: c.Order, Reference: r.Reference, Amount: 200, Currency: "EUR"}
			if _, err := p.Refund(t.Context(), back); err != nil {
				t.Fatal(err)
			}
		}
		want[c.Order] = e
	}
	elsewhere := newProvider(t, f.server.URL)
	elsewhere.installation = "inst2"
	if _, err := elsewhere.Charge(t.Context(), newCharge("pm_card_visa")); err != nil {
		t.Fatal(err)
	}
	// The same order twice, which can't be: the ledger doesn't hide it.
	twice := newCharge("pm_card_visa")
	for range 2 {
		if _, err := p.Charge(t.Context(), twice); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		clear(f.keys)
		f.mu.Unlock()
	}

	entries, err := p.Ledger(t.Context(), "gala")
	if err != nil || len(entries) != len(want)+1 {
		t.Fatalf("%d entries, %v; want %d", len(entries), err, len(want)+1)
	}
	for _, e := range entries {
		if e.Order == twice.Order {
			if e.Captures != 2 {
				t.Errorf("taken twice, and the ledger says %+v", e)
			}
			continue
		}
		if e != want[e.Order] {
			t.Errorf("%+v, want %+v", e, want[e.Order])
		}
	}
	if none, err := p.Ledger(t.Context(), "rodeo"); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}
