package simulator

import (
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"time"

	"onsale"
)

func TestTokenOverridesBehaviour(t *testing.T) {
	worst := Behaviour{Decline: 1, Error: 1, Timeout: 1, Broken: 1, Twice: 1, DelayMs: 1000}
	ok := captured()
	with := func(change func(*fate)) fate { f := ok; change(&f); return f }
	for _, c := range []struct {
		token    string
		failures int
		want     fate
	}{
		{"tok_ok", 0, ok},
		{"tok_decline", 0, declined("card_declined")},
		{"tok_delay_50", 0, with(func(f *fate) { f.delay = 50 * time.Millisecond })},
		{"tok_delay_soon", 0, declined("invalid_token")},
		{"tok_delay_99999999", 0, declined("invalid_token")},
		{"tok_timeout", 0, with(func(f *fate) { f.then = thenSilence })},
		{"tok_twice", 0, with(func(f *fate) { f.notices = 2 })},
		{"tok_error", 0, with(func(f *fate) { f.failBefore = true })},
		{"tok_error", 1, ok},
		{"tok_broken", 0, with(func(f *fate) { f.then = thenFail })},
	} {
		if got := worst.fate(newCharge("").Order, c.token, c.failures); got != c.want {
			t.Errorf("%s after %d failures: %+v, want %+v", c.token, c.failures, got, c.want)
		}
	}
}

func TestChanceKeepsItsProbabilitiesAndItsSeed(t *testing.T) {
	const n = 20_000
	b := Behaviour{Seed: 7, Decline: 0.3, Error: 0.1, Timeout: 0.05, Broken: 0.2, Twice: 0.5}
	reseeded := b
	reseeded.Seed = 8
	var declines, errors, silences, twices, differ float64
	for range n {
		order := newCharge("").Order
		f := b.fate(order, "tok_any", 0)
		if f != b.fate(order, "tok_any", 0) {
			t.Fatal("the same order had two fates")
		}
		if f != reseeded.fate(order, "tok_any", 0) {
			differ++
		}
		declines += one(f.outcome == onsale.ChargeDeclined)
		errors += one(f.failBefore)
		silences += one(f.then == thenSilence)
		twices += one(f.notices == 2)
	}
	for name, c := range map[string]struct{ got, want float64 }{
		"declined": {declines, b.Decline}, "failed": {errors, b.Error}, "silent": {silences, b.Timeout}, "twice": {twices, b.Twice},
	} {
		// Five standard deviations: false alarms are one in a million.
		if sigma := math.Sqrt(c.want * (1 - c.want) / n); math.Abs(c.got/n-c.want) > 5*sigma {
			t.Errorf("%s %.4f of the time, want %.4f", name, c.got/n, c.want)
		}
	}
	if differ < n/2 {
		t.Errorf("another seed changed only %.0f of %d fates", differ, n)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestErrorIsDrawnAnewForEachAttempt(t *testing.T) {
	b := Behaviour{Error: 0.5}
	for range 100 {
		order, attempt := newCharge("").Order, 0
		for b.fate(order, "tok_any", attempt).failBefore {
			if attempt++; attempt > 60 {
				t.Fatalf("order %s can never be charged", order)
			}
		}
	}
}

func TestBehaviourIsChangedWhileItRuns(t *testing.T) {
	s := start(t, Config{})
	c := client(t, s.URL(), 0)
	charge := func() onsale.ChargeOutcome {
		r, err := c.Charge(t.Context(), newCharge("tok_visa"))
		if err != nil {
			t.Fatal(err)
		}
		return r.Outcome
	}
	if got := charge(); got != onsale.ChargeCaptured {
		t.Errorf("as it comes: %s", got)
	}
	body, err := json.Marshal(Behaviour{Decline: 1})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := do(t, http.MethodPut, s.URL()+"/v1/behaviour", "", string(body)); status != http.StatusOK {
		t.Fatalf("PUT answered %d", status)
	}
	if got := charge(); got != onsale.ChargeDeclined {
		t.Errorf("told to decline: %s", got)
	}
	for _, bad := range []string{
		`{"decline":1.1}`, `{"error":-0.1}`, `{"timeout":"often"}`, `{"delay_ms":-1}`, `{"delay_ms":60001}`, `{"delcine":1}`, `-`,
	} {
		status, p := do(t, http.MethodPut, s.URL()+"/v1/behaviour", "", bad)
		if status != http.StatusBadRequest || p.Code != string(onsale.CodeBadRequest) {
			t.Errorf("%s: %d %s", bad, status, p.Code)
		}
	}
	if got := s.currentBehaviour(); got != (Behaviour{Decline: 1}) {
		t.Errorf("a refused change left %+v", got)
	}
	if _, err := New(Config{Behaviour: Behaviour{Twice: math.NaN()}}); err == nil {
		t.Error("NaN is a probability")
	}
}
