package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"onsale"
)

func TestBotsMeetTheirLimitsAndAreMeasuredApart(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	f.limits = true
	cfg := quick(f, 40)
	cfg.Create, cfg.Bots = house(600, time.Minute), 0.2
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	figure := func(name string) float64 { return report.Figures[name].Value }
	if figure("bots") == 0 || figure("bot_held") == 0 || figure("bot_limited") == 0 || figure("bot_throttled") == 0 || figure("errors") != 0 {
		t.Errorf("%+v, %v", report.Figures, report.Notes)
	}
	if got, want := figure("bot_hold_count"), figure("bot_held")+figure("bot_refused")+figure("bot_limited")+figure("bot_throttled"); got != want {
		t.Errorf("%v of the bots' holds were timed, %v answered", got, want)
	}
	if got, want := figure("hold_count"), figure("held")-figure("bot_held")+figure("refused")+figure("double_clicks"); got != want {
		t.Errorf("%v of honest buyers' holds were timed, %v answered", got, want)
	}
	if figure("bot_checkout_count") == 0 || figure("checkout_count")+figure("bot_checkout_count") != figure("accepted") || figure("session_count") != figure("buyers")-figure("bots") {
		t.Errorf("check-outs and sessions of both: %+v", report.Figures)
	}
}

func TestLimitsThatDoNotHoldBotsAreFoundOut(t *testing.T) {
	t.Parallel()
	cfg := quick(newFake(t, breakage{}), 20)
	cfg.Create, cfg.Bots = house(600, time.Minute), 0.3
	report, err := Rush(t.Context(), cfg)
	var broken *onsale.AuditError
	if !errors.As(err, &broken) {
		t.Fatal(err)
	}
	text := broken.Error()
	if !strings.Contains(text, "admissions, and may have 6") || !strings.Contains(text, "they may make 20 a minute") {
		t.Error(text)
	}
	for _, v := range report.Audit.Violations {
		if v.Invariant != onsale.InvariantHolds || len(v.History) == 0 || !strings.Contains(strings.Join(v.History, " "), "granted") {
			t.Errorf("%+v", v)
		}
	}
}

func TestLostRequestsAndFeedsHaveOneEffectAndGoOn(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	f.limits = true // a request that was done twice would be beyond them sooner or later
	cfg := quick(f, 60)
	lost, cut := 0, 0
	for cfg.Seed = 1; lost < 4 || cut < 4; cfg.Seed++ {
		lost, cut = 0, 0
		for n := range cfg.Users {
			if who := newTemper(cfg.WithDefaults(), n); who.ending == paysForIt {
				lost += map[bool]int{true: 1}[who.losesRequests]
				cut += map[bool]int{true: 1}[who.losesFeed]
			}
		}
	}
	cfg.Seed--
	cfg.Create = house(600, time.Minute)
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	figure := func(name string) float64 { return report.Figures[name].Value }
	if figure("requests_cut") < 8 || figure("feed_cut") < 4 || figure("errors") != 0 || len(report.Notes) > 0 || figure("feed_dropped") != 0 {
		t.Errorf("%+v, %v", report.Figures, report.Notes)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resumed == 0 {
		t.Error("no feed asked to go on from where it was")
	}
}

func TestFreedSeatsTellHowLateAHoldEnded(t *testing.T) {
	t.Parallel()
	cfg := quick(newFake(t, breakage{}), 60)
	cfg.Create, cfg.ExpiryWait, cfg.Mix = house(600, time.Second), 5*time.Second, Mix{Picked: 1}
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n := report.Figures["expiry_lag_count"].Value; n == 0 || report.Figures["expiry_lag_max"].Value <= 0 {
		t.Errorf("%v holds were seen to end, the last of them %v late", n, report.Figures["expiry_lag_max"])
	}
}

// What is surely there, and what may be taken by someone.
func TestARefusalIsUnjustOnlyIfNobodyCanHaveHadWhatWasRefused(t *testing.T) {
	t.Parallel()
	event := house(30, time.Minute) // a floor of ten
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	layout, noon := onsale.NewLayout(event), time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	nine, left := []onsale.Line{{Section: "floor", Quantity: 9}}, &onsale.FeedSnapshot{Sections: []onsale.FeedSection{{ID: "floor", Counts: onsale.Counts{Available: 5}}}}
	hold := &onsale.Hold{ID: onsale.NewHoldID("house", 1), Lines: nine, ExpiresAt: at(60)}
	for name, test := range map[string]struct {
		asked    int // until three seconds later
		quantity int
		taken    func(l *ledger)
		want     int64 // undersold
	}{
		"nobody had any":                          {10, 2, func(*ledger) {}, 5},
		"one more fits beside a hold":             {10, 1, func(l *ledger) { l.granted(hold, at(0)) }, 1},
		"two more don't":                          {10, 2, func(l *ledger) { l.granted(hold, at(0)) }, 0},
		"it was held later":                       {10, 2, func(l *ledger) { l.granted(hold, at(14)) }, 5},
		"it was held while the answer came":       {10, 2, func(l *ledger) { l.granted(hold, at(12)) }, 0},
		"it may have been held":                   {10, 2, func(l *ledger) { l.maybeGranted(nine, at(0)) }, 0},
		"it had expired":                          {62, 2, func(l *ledger) { l.granted(hold, at(0)) }, 5},
		"it had just expired":                     {60, 2, func(l *ledger) { l.granted(hold, at(0)) }, 0},
		"it was paid for":                         {62, 2, func(l *ledger) { l.granted(hold, at(0)); l.pinned(hold.ID) }, 0},
		"it was paid for, declined and seen free": {62, 2, func(l *ledger) { l.granted(hold, at(0)); l.pinned(hold.ID); l.freed(hold.ID, at(40)) }, 5},
		"it was given back":                       {10, 2, func(l *ledger) { l.granted(hold, at(0)); l.freed(hold.ID, at(5)) }, 5},
		"it was just given back":                  {10, 2, func(l *ledger) { l.granted(hold, at(0)); l.freed(hold.ID, at(10)) }, 0},
	} {
		l := newLedger()
		test.taken(l)
		l.refused(refusedHold{section: "floor", quantity: test.quantity, asked: at(test.asked), answered: at(test.asked + 3)})
		if got := l.checkRefusals(layout, left); got != test.want || (len(l.found()) > 0) != (test.want > 0) {
			t.Errorf("%s: %d undersold, %v", name, got, l.found())
		}
	}
}

func TestRunWhoseGeneratorWasLateIsVoid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		late, most time.Duration
		void       bool
	}{{time.Second, 0, false}, {time.Second, time.Second, false}, {time.Second + 1, time.Second, true}} {
		if text := generatorLimit(test.late, test.most); (text != "") != test.void {
			t.Errorf("%v late of %v: %q", test.late, test.most, text)
		}
	}
	cfg := quick(newFake(t, breakage{}), 10)
	cfg.MostLate = time.Nanosecond
	if report, err := Rush(t.Context(), cfg); !errors.Is(err, ErrVoid) || report == nil || !strings.Contains(report.Void, "generator") {
		t.Errorf("%v, %+v", err, report)
	}
}

// Who took the seats of a hold at its deadline hides how late it ended until theirs is over.
func TestALagIsCountedOnlyIfNobodyHadTheSeatsMeanwhile(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	lines := []onsale.Line{{Section: "stand", Quantity: 2, Seats: []string{"A-1", "A-2"}}}
	other := []onsale.Line{{Section: "stand", Quantity: 1, Seats: []string{"A-2"}}}
	first := &onsale.Hold{ID: onsale.NewHoldID("house", 1), Lines: lines, ExpiresAt: at(60)}
	for name, test := range map[string]struct {
		taken   func(l *ledger)
		counted bool
	}{
		"nobody had them": {func(*ledger) {}, true},
		"someone had them before": {func(l *ledger) {
			l.granted(&onsale.Hold{ID: onsale.NewHoldID("house", 1), Lines: other, ExpiresAt: at(50)}, at(-20))
		}, true},
		"someone has them afterwards": {func(l *ledger) {
			l.granted(&onsale.Hold{ID: onsale.NewHoldID("house", 1), Lines: other, ExpiresAt: at(140)}, at(80))
		}, true},
		"someone had one meanwhile": {func(l *ledger) {
			l.granted(&onsale.Hold{ID: onsale.NewHoldID("house", 1), Lines: other, ExpiresAt: at(120)}, at(59))
		}, false},
		"someone may have had one": {func(l *ledger) { l.maybeGranted(other, at(59)) }, false},
		"someone had another seat": {func(l *ledger) {
			l.granted(&onsale.Hold{ID: onsale.NewHoldID("house", 1), Lines: []onsale.Line{{Section: "stand", Quantity: 1, Seats: []string{"A-3"}}}, ExpiresAt: at(120)}, at(59))
		}, true},
	} {
		worker, r := newLedger(), &rush{ledger: newLedger()}
		worker.granted(first, at(0))
		worker.sawFree(seenFree{first.ID, lines[0], at(60), at(72)})
		test.taken(r.ledger) // another worker's
		handed, err := worker.bequeath()
		if err != nil {
			t.Fatal(err)
		}
		r.ledger.inherit(handed, 0)
		r.timeExpiry()
		if q := r.m.expiryLag.quantiles(); (q.Count == 1) != test.counted || test.counted && q.Max < 11*time.Second {
			t.Errorf("%s: %d lags, %v", name, q.Count, q.Max)
		}
	}
}
