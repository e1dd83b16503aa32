package simulator

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

func isVoided(r onsale.ChargeResult) bool {
	return r.Outcome == onsale.ChargeDeclined && r.Reason == onsale.DeclinedVoided
}

func TestVoidedOrderIsNeverChargedNotEvenAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	s := start(t, Config{Ledger: path})
	c := client(t, s.URL(), 0)
	never, aside := newCharge("tok_ok"), newCharge("tok_ok")
	if r, err := c.Authorise(t.Context(), aside); err != nil || r.Outcome != onsale.ChargeAuthorised {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, charge := range []onsale.Charge{never, aside} {
		if r, err := c.Void(t.Context(), charge); err != nil || !isVoided(r) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	stop(t, s)
	c = client(t, start(t, Config{Ledger: path}).URL(), 0)
	for _, charge := range []onsale.Charge{never, aside} {
		looked, found, err := c.LookUp(t.Context(), charge)
		if err != nil || !found || !isVoided(looked) {
			t.Errorf("looked up %+v, %t, %v", looked, found, err)
		}
		again, err := c.Void(t.Context(), charge)
		if err != nil || again != looked {
			t.Errorf("%+v, %v", again, err)
		}
		if r, err := c.Charge(t.Context(), charge); err == nil && !isVoided(r) {
			t.Errorf("charged %+v", r)
		}
		if r, err := c.Capture(t.Context(), charge); err == nil && !isVoided(r) {
			t.Errorf("captured %+v", r)
		}
		if e := ledgerOf(t, c)[charge.Order]; e.Captures != 0 || e.Outcome != onsale.ChargeDeclined {
			t.Errorf("on the ledger %+v", e)
		}
	}
}

func TestVoidThatComesTooLateSaysHowItEnded(t *testing.T) {
	c := client(t, start(t, Config{}).URL(), 0)
	for token, want := range map[string]onsale.ChargeOutcome{"tok_ok": onsale.ChargeCaptured, "tok_decline": onsale.ChargeDeclined} {
		charge := newCharge(token)
		charged, err := c.Charge(t.Context(), charge)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.Void(t.Context(), charge); err != nil || r != charged || r.Outcome != want {
			t.Errorf("%s: voided %+v, %v; charged %+v", token, r, err, charged)
		}
	}
}

func TestVoidsAndChargesAtOnceEndOneWay(t *testing.T) {
	s := start(t, Config{Behaviour: Behaviour{Seed: 3, Error: 0.2, Broken: 0.2}})
	c := client(t, s.URL(), 0)
	for range 20 {
		charge := newCharge("tok_any")
		var all sync.WaitGroup
		var mu sync.Mutex
		ends := map[onsale.ChargeResult]bool{}
		for i := range 6 {
			all.Go(func() {
				ask := c.Charge
				if i%2 == 0 {
					ask = c.Void
				}
				for range 50 { // which fail as often as they are told to
					if r, err := ask(context.Background(), charge); err == nil {
						mu.Lock()
						ends[r] = true
						mu.Unlock()
						return
					}
				}
				t.Error("never answered")
			})
		}
		all.Wait()
		captures := ledgerOf(t, c)[charge.Order].Captures
		for r := range ends {
			if len(ends) != 1 || (r.Outcome == onsale.ChargeCaptured) != (captures == 1) || captures > 1 {
				t.Errorf("%d ends, %+v, taken %d times", len(ends), r, captures)
			}
		}
	}
}

func TestWhatIsSetAsideIsTakenOnceOrNotAtAll(t *testing.T) {
	got := newReceiver(t, 0)
	c := client(t, start(t, Config{WebhookURL: got.URL, WebhookSecret: secret}).URL(), 0)
	charge := newCharge("tok_ok")
	if r, err := c.Capture(t.Context(), charge); !errors.Is(err, payment.ErrRefused) {
		t.Errorf("captured what was not set aside: %+v, %v", r, err)
	}
	aside, err := c.Authorise(t.Context(), charge)
	if err != nil || aside.Outcome != onsale.ChargeAuthorised {
		t.Fatalf("%+v, %v", aside, err)
	}
	if _, found, err := c.LookUp(t.Context(), charge); found || err != nil {
		t.Errorf("found %t, %v: it is no end", found, err)
	}
	if r, err := c.Charge(t.Context(), charge); !errors.Is(err, payment.ErrRefused) {
		t.Errorf("charged what was set aside: %+v, %v", r, err)
	}
	var first onsale.ChargeResult
	for range 3 {
		r, err := c.Capture(t.Context(), charge)
		if err != nil || r.Outcome != onsale.ChargeCaptured || r.Reference != aside.Reference || first != (onsale.ChargeResult{}) && r != first {
			t.Errorf("%+v, %v", r, err)
		}
		first = r
	}
	if e := ledgerOf(t, c)[charge.Order]; e.Captures != 1 || e.Amount != charge.Amount {
		t.Errorf("on the ledger %+v", e)
	}
	eventually(t, "the capture is told", func() bool { return len(got.taken()) == 1 })
	declined := newCharge("tok_decline")
	if r, err := c.Authorise(t.Context(), declined); err != nil || r.Outcome != onsale.ChargeDeclined {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTokenThatNobodyIssuedIsRefusedForGoodAndCanBeVoided(t *testing.T) {
	c := client(t, start(t, Config{}).URL(), time.Second)
	charge := newCharge(tokenInvalid)
	for range 2 {
		if r, err := c.Charge(t.Context(), charge); !errors.Is(err, payment.ErrRefused) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if r, err := c.Void(t.Context(), charge); err != nil || !isVoided(r) {
		t.Errorf("%+v, %v", r, err)
	}
}
