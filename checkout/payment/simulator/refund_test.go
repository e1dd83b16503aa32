package simulator

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// paid charges an order and returns a refund of a part of it.
func paid(t *testing.T, c *payment.Client, token string, amount int64) onsale.Refund {
	t.Helper()
	charge := newCharge(token)
	r, err := c.Charge(t.Context(), charge)
	if err != nil {
		t.Fatal(err)
	}
	return onsale.Refund{
		ID: onsale.NewRefundID(), Order: charge.Order, Event: gala, Reference: r.Reference, Amount: amount, Currency: "EUR", Reason: "operator",
	}
}

func TestRefundIsPaidBackOnceHoweverItMisbehaves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	s := start(t, Config{Ledger: path})
	c := client(t, s.URL(), 300*time.Millisecond)
	answers, orders := map[onsale.RefundID]onsale.RefundResult{}, map[onsale.OrderID]int64{}
	var all []onsale.Refund
	for token, want := range map[string]struct {
		first   bool // the first question is answered
		outcome onsale.RefundOutcome
	}{
		"tok_ok":             {true, onsale.RefundMade},
		"tok_refund_timeout": {false, onsale.RefundMade},
		"tok_refund_error":   {false, onsale.RefundMade},
		"tok_refund_broken":  {false, onsale.RefundMade},
		"tok_refund_refused": {true, onsale.RefundRefused},
	} {
		r := paid(t, c, token, 1200)
		result, err := c.Refund(t.Context(), r)
		if (err == nil) != want.first || errors.Is(err, payment.ErrRefused) {
			t.Errorf("%s: first %+v, %v", token, result, err)
		}
		for range 3 {
			if result, err = c.Refund(t.Context(), r); err != nil || result.Outcome != want.outcome || result.ID != r.ID {
				t.Errorf("%s: %+v, %v", token, result, err)
			}
			if before, asked := answers[r.ID]; asked && before != result {
				t.Errorf("%s: %+v, and before %+v", token, result, before)
			}
			answers[r.ID] = result
		}
		all = append(all, r)
		if want.outcome == onsale.RefundMade {
			orders[r.Order] = 1200
		}
	}
	stop(t, s)
	again := client(t, start(t, Config{Ledger: path}).URL(), 0)
	for _, r := range all {
		if result, err := again.Refund(t.Context(), r); err != nil || result != answers[r.ID] {
			t.Errorf("after a restart %+v, %v; before %+v", result, err, answers[r.ID])
		}
		if e := ledgerOf(t, again)[r.Order]; e.Refunded != orders[r.Order] || e.Captures != 1 || e.Outcome != onsale.ChargeCaptured {
			t.Errorf("on the ledger %+v", e)
		}
	}
}

func TestNoMoreIsPaidBackThanWasCaptured(t *testing.T) {
	c := client(t, start(t, Config{}).URL(), 0)
	r := paid(t, c, "tok_ok", 1000)
	var made atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			mine := r
			mine.ID = onsale.NewRefundID()
			result, err := c.Refund(t.Context(), mine)
			switch {
			case err != nil:
				t.Error(err)
			case result.Outcome == onsale.RefundMade:
				made.Add(mine.Amount)
			case result.Reason != reasonTooMuch:
				t.Errorf("%+v", result)
			}
		})
	}
	all.Wait()
	rest := r
	rest.ID, rest.Amount = onsale.NewRefundID(), 200
	if result, err := c.Refund(t.Context(), rest); err != nil || result.Outcome != onsale.RefundMade {
		t.Errorf("the rest: %+v, %v", result, err)
	}
	if e := ledgerOf(t, c)[r.Order]; made.Load() != 4000 || e.Refunded != 4200 {
		t.Errorf("%d made, on the ledger %+v", made.Load(), e)
	}
	for name, wrong := range map[string]func(*onsale.Refund){
		reasonUnknownCharge: func(r *onsale.Refund) { r.Reference = "chg_other" },
		reasonOtherCurrency: func(r *onsale.Refund) { r.Currency = "USD" },
	} {
		mine := paid(t, c, "tok_ok", 1)
		wrong(&mine)
		if result, err := c.Refund(t.Context(), mine); err != nil || result.Outcome != onsale.RefundRefused || result.Reason != name {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	declined := paid(t, c, "tok_decline", 1)
	if result, err := c.Refund(t.Context(), declined); err != nil || result.Outcome != onsale.RefundRefused {
		t.Errorf("of what was declined: %+v, %v", result, err)
	}
	reused := r
	reused.Amount = 7
	if result, err := c.Refund(t.Context(), reused); err != nil { // r itself was never asked for
		t.Errorf("%+v, %v", result, err)
	}
	if result, err := c.Refund(t.Context(), r); !errors.Is(err, payment.ErrRefused) {
		t.Errorf("another refund under the same key: %+v, %v", result, err)
	}
}

func TestRefundThatTheBankSendsBackHasFailedWhenItIsLookedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	s := start(t, Config{Ledger: path})
	c := client(t, s.URL(), time.Second)
	r := paid(t, c, "tok_refund_failed", 1200)
	if _, found, err := c.LookUpRefund(t.Context(), r); found || err != nil {
		t.Errorf("before it was asked for: %v, %v", found, err)
	}
	if made, err := c.Refund(t.Context(), r); err != nil || made.Outcome != onsale.RefundMade {
		t.Fatalf("%+v, %v", made, err)
	}
	refunded := func(c *payment.Client) int64 {
		t.Helper()
		entries, err := c.Ledger(t.Context(), gala)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%+v, %v", entries, err)
		}
		return entries[0].Refunded
	}
	if n := refunded(c); n != 1200 {
		t.Errorf("%d are paid back", n)
	}
	for range 2 {
		if now, found, err := c.LookUpRefund(t.Context(), r); err != nil || !found || now.Outcome != onsale.RefundRefused || now.Reason != reasonSentBack {
			t.Errorf("found %v, %+v, %v", found, now, err)
		}
	}
	if n := refunded(c); n != 0 {
		t.Errorf("%d are paid back after it came back", n)
	}
	stop(t, s)
	again := client(t, start(t, Config{Ledger: path}).URL(), time.Second)
	if now, _, err := again.LookUpRefund(t.Context(), r); err != nil || now.Outcome != onsale.RefundRefused || refunded(again) != 0 {
		t.Errorf("started again: %+v, %v", now, err)
	}
}
