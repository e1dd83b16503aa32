package simulator

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

func TestLatePaymentIsDeclinedThenCapturedAndToldUntilItIsTaken(t *testing.T) {
	t.Parallel()
	const refused = noticeTries + 3 // more often than any other notice is sent
	r := newReceiver(t, refused)
	c := client(t, start(t, Config{WebhookURL: r.URL, WebhookSecret: secret}).URL(), time.Second)
	charge := newCharge("tok_late_1")
	first, err := c.Charge(t.Context(), charge)
	if err != nil || first.Outcome != onsale.ChargeDeclined {
		t.Fatalf("%+v, %v", first, err)
	}
	told := func(n payment.Webhook) bool { return n.Outcome == onsale.ChargeCaptured }
	eventually(t, "it is told", func() bool { return slices.ContainsFunc(r.taken(), told) })
	again, err := c.Charge(t.Context(), charge)
	if err != nil || again.Outcome != onsale.ChargeCaptured || again.Reference == first.Reference {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	ledger, err := c.Ledger(t.Context(), charge.Event)
	if err != nil || len(ledger) != 1 || ledger[0].Outcome != onsale.ChargeCaptured || ledger[0].Captures != 1 || ledger[0].Reference != again.Reference {
		t.Errorf("its ledger has %+v, %v", ledger, err)
	}
	refund, err := c.Refund(t.Context(), onsale.Refund{ID: onsale.NewRefundID(), Order: charge.Order, Event: charge.Event,
		Reference: again.Reference, Amount: charge.Amount, Currency: charge.Currency, Reason: "test"})
	if err != nil || refund.Outcome != onsale.RefundMade {
		t.Errorf("it is paid back: %+v, %v", refund, err)
	}
}

// TestLatePaymentOutlivesAKill reopens the ledger at each step, as after kill -9.
func TestLatePaymentOutlivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	charge := newCharge("tok_late_1")
	request := payment.ChargeRequest{Event: charge.Event, Amount: charge.Amount, Currency: charge.Currency, PaymentToken: charge.PaymentToken}
	reopened := func(do func(l *ledger)) {
		l, err := openLedger(path)
		if err != nil {
			t.Fatal(err)
		}
		do(l)
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
	soon := time.Now().Add(time.Minute)
	reopened(func(l *ledger) {
		if _, err := l.record(charge.Order, request, onsale.ChargeDeclined, "card_declined"); err != nil {
			t.Error(err)
		}
	})
	reopened(func(l *ledger) {
		if due := l.lateDue(soon); !slices.Equal(due, []onsale.OrderID{charge.Order}) || len(l.untold()) > 0 {
			t.Fatalf("due are %v, untold %v", due, l.untold())
		}
		if _, err := l.record(charge.Order, request, onsale.ChargeCaptured, ""); err != nil {
			t.Error(err)
		}
	})
	reopened(func(l *ledger) {
		if left := l.untold(); len(left) != 1 || left[0].Order != charge.Order || left[0].Outcome != onsale.ChargeCaptured || len(l.lateDue(soon)) > 0 {
			t.Fatalf("untold are %+v", left)
		}
		if err := l.noteTold(charge.Order); err != nil {
			t.Error(err)
		}
	})
	reopened(func(l *ledger) {
		if len(l.untold()) > 0 || len(l.lateDue(soon)) > 0 {
			t.Errorf("untold are %v, due %v", l.untold(), l.lateDue(soon))
		}
	})
}

func TestWhatWasCalledOffBeforeItWasChargedIsNotPaidLate(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := client(t, s.URL(), time.Second)
	charge := newCharge("tok_late_1")
	if _, err := c.Void(t.Context(), charge); err != nil {
		t.Fatal(err)
	}
	if due := s.ledger.lateDue(time.Now().Add(time.Minute)); len(due) > 0 {
		t.Errorf("due are %v", due)
	}
}
