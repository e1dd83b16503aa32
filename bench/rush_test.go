package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"onsale"
)

func TestRushSellsTheHouseAndFindsThatEveryPromiseWasKept(t *testing.T) {
	f := newFake(t, breakage{})
	var mu sync.Mutex
	var phases []Phase
	cfg := quick(f, 60)
	cfg.Progress = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(phases, p.Phase) {
			phases = append(phases, p.Phase)
		}
	}
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	figure := func(name string) float64 {
		t.Helper()
		v, ok := report.Figures[name]
		if !ok {
			t.Fatalf("the report has no figure %q", name)
		}
		return v.Value
	}
	if !report.OK || len(report.Audit.Violations) > 0 {
		t.Errorf("a server that keeps its promises was found to break some: %+v", report.Audit)
	}
	if figure("errors") != 0 {
		t.Errorf("%v errors: %v", figure("errors"), report.Notes)
	}
	if figure("buyers") != 60 || figure("held") == 0 || figure("sold") == 0 || figure("declined") == 0 {
		t.Errorf("not everybody came, or nothing was sold or declined: %+v", report.Figures)
	}
	if figure("accepted") != figure("sold")+figure("declined") {
		t.Errorf("%v orders were accepted, %v sold and %v declined", figure("accepted"), figure("sold"), figure("declined"))
	}
	if got, want := figure("hold_count"), figure("held")+figure("refused"); got != want {
		t.Errorf("%v holds were timed, %v answered", got, want)
	}
	if report.Ratios["feeds_checked"] != 1 || figure("feeds_checked") != 61 {
		t.Errorf("not every feed was compared: %v of 61", figure("feeds_checked"))
	}
	if f.event.Sale != onsale.SaleClosed {
		t.Errorf("the event of the rush is %s after it", f.event.Sale)
	}
	if phases[0] != PhasePreparing || phases[len(phases)-1] != PhaseDone {
		t.Errorf("the phases told were %v", phases)
	}
}

func TestEveryBrokenPromiseIsFoundOut(t *testing.T) {
	told := onsale.Violation{Invariant: onsale.InvariantCharges, Subject: "ord_x", Detail: "charged twice"}
	for name, test := range map[string]struct {
		breaks    breakage
		invariant onsale.Invariant
	}{
		"a seat is sold to two":               {breakage{sellsSeatsTwice: true}, onsale.InvariantClaims},
		"more is sold than there is":          {breakage{sellsBeyondCapacity: true}, onsale.InvariantClaims},
		"an accepted order is forgotten":      {breakage{forgetsOrders: true}, onsale.InvariantOrders},
		"an accepted order comes to no end":   {breakage{neverSettles: true}, onsale.InvariantOrders},
		"a buyer is told another end":         {breakage{tellsLies: true}, onsale.InvariantOrders},
		"one key makes two holds":             {breakage{holdsAnewPerRequest: true}, onsale.InvariantKeys},
		"two admissions have the same ticket": {breakage{repeatsTickets: true}, onsale.InvariantKeys},
		"a hold is not what was asked for":    {breakage{grantsOtherSeats: true}, onsale.InvariantHolds},
		"a hold outlives its deadline":        {breakage{neverExpires: true}, onsale.InvariantHolds},
		"a feed misses a change":              {breakage{missesChange: true}, onsale.InvariantFeed},
		"a feed is stuck":                     {breakage{stallsFeed: true}, onsale.InvariantFeed},
		"the audit finds something":           {breakage{audit: []onsale.Violation{told}}, onsale.InvariantCharges},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick(newFake(t, test.breaks), 60)
			if test.breaks.neverSettles || test.breaks.forgetsOrders {
				cfg.ResultTimeout = time.Second
			}
			if test.breaks.sellsBeyondCapacity || test.breaks.sellsSeatsTwice {
				cfg.Create = house(60, time.Minute)
			}
			if test.breaks.neverExpires {
				cfg.Create, cfg.ExpiryWait = house(600, time.Second), 5*time.Second
			}
			report, err := Rush(t.Context(), cfg)
			var broken *onsale.AuditError
			if !errors.As(err, &broken) || report == nil || report.OK {
				t.Fatalf("not found out: %v, %+v", err, report)
			}
			for _, v := range report.Audit.Violations {
				if v.Invariant == test.invariant {
					return
				}
			}
			t.Errorf("no violation of invariant %d in\n%v", test.invariant, err)
		})
	}
}

func TestHoldsThatWereLetGoAreSeenToExpire(t *testing.T) {
	cfg := quick(newFake(t, breakage{}), 60)
	cfg.Create, cfg.ExpiryWait = house(600, time.Second), 5*time.Second
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if report.Figures["expired"].Value == 0 {
		t.Error("no hold expired")
	}
}

func TestFeedThatLostAFrameIsMended(t *testing.T) {
	for name, test := range map[string]struct {
		breaks breakage
		figure string
	}{
		"by resuming at a gap":            {breakage{skipsDelta: true}, "feed_resumes"},
		"by opening it again after a cut": {breakage{dropsFeed: true}, "feed_dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Rush(t.Context(), quick(newFake(t, test.breaks), 60))
			if err != nil {
				t.Fatal(err)
			}
			if report.Figures[test.figure].Value == 0 || report.Ratios["feeds_checked"] != 1 {
				t.Errorf("%s %v, feeds compared %v", test.figure, report.Figures[test.figure], report.Ratios["feeds_checked"])
			}
		})
	}
}

func TestBusyAnswerIsHonouredUnderTheSameKey(t *testing.T) {
	f := newFake(t, breakage{})
	f.busy = 1
	cfg := quick(f, 1)
	cfg.Seed = 3 // a buyer who clicks once and pays
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 2 || f.keys[0] != f.keys[1] {
		t.Fatalf("asked %d times, under keys %q", len(f.asked), f.keys)
	}
	waited := f.asked[1].Sub(f.asked[0])
	if waited < time.Second {
		t.Errorf("came back after %v, although told to wait a second", waited)
	}
	if busy, hold := report.Figures["busy"].Value, report.Figures["hold_max"].Value; busy != 1 || hold >= waited.Seconds()*1000 {
		t.Errorf("busy %v; the advised wait of %v counts as latency: %v ms", busy, waited, hold)
	}
}

func TestStoppedRushLeavesNothingRunning(t *testing.T) {
	f := newFake(t, breakage{neverSettles: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := quick(f, 40)
	cfg.Progress = func(p Progress) {
		if p.Held > 5 {
			cancel()
		}
	}
	report, err := Rush(ctx, cfg)
	if report != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", report, err)
	}
	if f.event.Sale != onsale.SaleClosed {
		t.Errorf("the event of the stopped rush is %s", f.event.Sale)
	}
}

func TestUnreachableTargetIsOneErrorAndNoReport(t *testing.T) {
	f := newFake(t, breakage{})
	cfg := quick(f, 5)
	f.Close()
	report, err := Rush(t.Context(), cfg)
	var wrong *ConfigError
	if report != nil || !errors.As(err, &wrong) {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWrongOperatorIsFoundOutBeforeTheStorm(t *testing.T) {
	for name, event := range map[string]onsale.EventID{"own event": "", "given event": "house"} {
		t.Run(name, func(t *testing.T) {
			cfg := quick(newFake(t, breakage{}), 5)
			cfg.AdminToken, cfg.Event = "someone", event
			cfg.Progress = func(p Progress) {
				if p.Arrived > 0 {
					t.Error("the storm began")
				}
			}
			_, err := Rush(t.Context(), cfg)
			var wrong *ConfigError
			if !errors.As(err, &wrong) {
				t.Errorf("%v", err)
			}
		})
	}
}

// house is an event of so many places, whose holds last so long.
func house(places int, holds time.Duration) *onsale.Event {
	return &onsale.Event{ID: "house", Name: "House", StartsAt: time.Now(), Currency: "EUR", HoldSeconds: int(holds / time.Second),
		Sections: []onsale.Section{
			{ID: "floor", Kind: onsale.General, Price: 100, Capacity: int64(places) / 3},
			{ID: "stand", Kind: onsale.Reserved, Price: 100, Grid: &onsale.Grid{Rows: places * 2 / 3 / 10, Seats: 10}},
		}}
}
