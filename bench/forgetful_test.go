package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"onsale"
)

// TestWhatAForgetfulHouseMayAnswerToARepeatedKey goes through what a key may be answered
// when Redis has lost its stock since: nothing was bought with it, or it was.
func TestWhatAForgetfulHouseMayAnswerToARepeatedKey(t *testing.T) {
	t.Parallel()
	first := onsale.NewHoldID("e", 1)
	taken := onsale.Refuse(onsale.CodeSeatTaken, "no")
	for name, test := range map[string]struct {
		forgetful bool
		epoch     onsale.Epoch // of the stock now
		bought    bool
		hold      onsale.HoldID // the answer, or
		refusal   *onsale.Error
		broken    bool
	}{
		"the same hold":                            {true, 2, true, first, nil, false},
		"a hold in the new epoch":                  {true, 2, false, first.In(2), nil, false},
		"a hold in the new epoch, of what is sold": {true, 2, true, first.In(2), nil, true},
		"a hold in the old epoch":                  {true, 2, false, onsale.NewHoldID("e", 1), nil, true},
		"quite another hold":                       {true, 2, false, onsale.NewHoldID("e", 2), nil, true},
		"a new epoch where nothing was lost":       {true, 1, false, first.In(2), nil, true},
		"a house that forgets nothing":             {false, 2, false, first.In(2), nil, true},
		"nothing is left":                          {true, 2, false, "", taken, false},
		"nothing is left, of what is sold":         {true, 2, true, "", taken, true},
		"nothing is left where nothing was lost":   {true, 1, false, "", taken, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.refusal != nil {
					w.WriteHeader(http.StatusConflict)
					_ = json.NewEncoder(w).Encode(test.refusal)
					return
				}
				_ = json.NewEncoder(w).Encode(onsale.Hold{ID: test.hold})
			}))
			defer server.Close()
			r := &rush{cfg: RushConfig{Forgetful: test.forgetful, Users: 1}, ledger: newLedger(), leftover: &onsale.FeedSnapshot{Epoch: test.epoch}}
			var err error
			if r.api, err = newAPI(server.URL, &r.m); err != nil {
				t.Fatal(err)
			}
			defer r.api.close()
			r.ledger.repeatLater(repeat{request: request{method: "POST", path: "/"}, hold: first})
			var orders []onsale.Order
			if test.bought {
				orders = []onsale.Order{{ID: first.Order(), Hold: first, State: onsale.OrderTicketed}}
			}
			if err := r.checkRepeats(t.Context(), orders); err != nil {
				t.Fatal(err)
			}
			if found := r.ledger.found(); (len(found) > 0) != test.broken {
				t.Errorf("found %v", found)
			}
		})
	}
}

func TestAViolationHasWhatItsBuyerWasTold(t *testing.T) {
	t.Parallel()
	l := newLedger()
	hold, other := onsale.NewHoldID("e", 1), onsale.NewHoldID("e", 1)
	l.promised(promise{order: hold.Order(), asked: time.Now(), accepted: true, told: onsale.OrderTicketed})
	l.promised(promise{order: other.Order(), asked: time.Now()})
	for subject, want := range map[string]string{
		"order " + string(hold.Order()): "answered 202", "hold " + string(hold): `told "ticketed"`, string(hold.Order()): "answered 202",
		"order " + string(other.Order()): "nothing definite", "section floor": "",
	} {
		got := l.withWitnesses([]onsale.Violation{{Subject: subject, History: []string{"claimed"}}})
		if text := strings.Join(got[0].History, "\n"); !strings.Contains(text, want) || (len(got[0].History) > 1) != (want != "") {
			t.Errorf("%s: %q", subject, text)
		}
	}
}

func TestAnOrderIsSaidToHaveBeenPromisedOnlyIfItWas(t *testing.T) {
	t.Parallel()
	for accepted, want := range map[bool]string{true: "was answered 202 and is accepted still", false: "its buyer was told nothing definite, and it is accepted still"} {
		l := newLedger()
		l.promised(promise{order: "ord_1", accepted: accepted})
		if lost := l.checkEnds([]onsale.Order{{ID: "ord_1", State: onsale.OrderAccepted}}); lost != 1 || l.found()[0].Detail != want {
			t.Errorf("%d lost, %v", lost, l.found())
		}
	}
}

func TestNothingIsCheckedBeforeTheHouseHasHealed(t *testing.T) {
	f := newFake(t, breakage{})
	cfg := quick(f, 30)
	cfg.Watchers = 5
	more := 10
	cfg.GoOn = func() bool { more--; return more >= 0 }
	healed := 0
	cfg.Heal = func(context.Context) error { healed++; return nil }
	report, err := Rush(t.Context(), cfg)
	if err != nil || healed != 1 {
		t.Fatalf("healed %d times, %v", healed, err)
	}
	if got := report.Figures["buyers"].Value; got != 40 {
		t.Errorf("%v buyers came, of 30 and 10 more", got)
	}
	if got := report.Figures["feeds_checked"].Value; got != 6 { // theirs, and the bench's own
		t.Errorf("%v feeds are compared, of 5 that stayed", got)
	}
	sick := errors.New("still down")
	cfg.Heal = func(context.Context) error { return sick }
	if report, err := Rush(t.Context(), cfg); !errors.Is(err, sick) || report != nil {
		t.Errorf("%v, %v", report, err)
	}
}
