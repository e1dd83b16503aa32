package bench

import (
	"context"
	"errors"
	"testing"
	"time"
)

// visitor is the n-th buyer of a rush on a fake, which has its event, and nobody else.
func visitor(t *testing.T, f *fake, n int) *buyer {
	t.Helper()
	r := &rush{cfg: quick(f, 12).WithDefaults(), ledger: newLedger(), aftermath: newAftermath(), recorded: func() {}}
	var err error
	if r.api, err = newAPI(f.URL, &r.m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.leave(context.Background()); err != nil {
			t.Error(err)
		}
		r.api.close()
	})
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := r.buyer(n)
	if !b.signIn(t.Context()) || !b.openFeed(t.Context()) {
		t.Fatal(r.troubles)
	}
	return b
}

func TestBusyAnswerIsHonouredUnderTheSameKey(t *testing.T) {
	f := newFake(t, breakage{})
	f.busy = 1
	cfg := quick(f, 1)
	cfg.Seed = 3 // a buyer who clicks once and pays
	if _, err := Rush(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 2 || f.keys[0] != f.keys[1] {
		t.Fatalf("asked %d times, under keys %q", len(f.asked), f.keys)
	}
	waited := f.asked[1].Sub(f.asked[0])
	if waited < time.Second {
		t.Errorf("came back after %v, although told to wait a second", waited)
	}
}

// A server that sends people away quickly must not look quick.
func TestABusyAnswerIsPartOfWhatItsBuyerWaits(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	f.busy = 1
	cfg := quick(f, 1)
	cfg.Seed = 3 // a buyer who clicks once and pays
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	waited := f.asked[1].Sub(f.asked[0]).Seconds() * 1000
	for _, name := range []string{"hold_p50", "hold_max", "answered_max"} {
		if got := report.Figures[name].Value; got < waited*0.999 { // three digits
			t.Errorf("%s is %v ms of a buyer who came back after %v ms", name, got, waited)
		}
	}
	if busy, holds, unanswered := report.Figures["busy"].Value, report.Figures["hold_count"].Value, report.Figures["unanswered"].Value; busy != 1 || holds != 1 || unanswered != 0 {
		t.Errorf("%v busy, %v holds timed, %v unanswered", busy, holds, unanswered)
	}
}

func TestWhoIsPutOffUntilTheyGiveUpIsOnRecord(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	f.busy, f.later = maxRepeats+1, "0"
	cfg := quick(f, 1)
	cfg.Seed = 3 // as above
	report, err := Rush(t.Context(), cfg)
	if !errors.Is(err, ErrVoid) || report == nil {
		t.Fatalf("%v, %+v", err, report)
	}
	figure := func(name string) float64 { return report.Figures[name].Value }
	if figure("busy") != maxRepeats+1 || figure("hold_count") != 1 || figure("answered_count") != 1 || figure("unanswered") != 1 {
		t.Errorf("%v busy answers, %v holds and %v presses timed, %v unanswered", figure("busy"), figure("hold_count"), figure("answered_count"), figure("unanswered"))
	}
	waited := f.asked[maxRepeats].Sub(f.asked[0]).Seconds() * 1000
	if got := min(figure("hold_max"), figure("answered_max")); got < waited*0.999 {
		t.Errorf("the buyer gave up after %v ms, and %v are on record", waited, got)
	}
}

// Who comes back to a line that was dead presses twice then, not before.
func TestASecondClickIsSentWhenItIsDue(t *testing.T) {
	t.Parallel()
	b := visitor(t, newFake(t, breakage{}), 0)
	b.losesRequests, b.doubleClicks = true, true
	lines := choose(b.temper, b.rush.layout, b.feed.view())
	if _, err := b.hold(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	hist := b.rush.m.hold.hist
	if hist.TotalCount() != 2 || hist.Min() <= shortestLatency {
		t.Errorf("%d clicks timed, one of which took %d µs", hist.TotalCount(), hist.Min())
	}
}

func TestABotIsTimedFromWhenItWasDue(t *testing.T) {
	t.Parallel()
	const behind = 2 * time.Second
	b := visitor(t, newFake(t, breakage{}), 0)
	b.automate()
	b.due = time.Now().Add(-behind)
	b.raid(t.Context())
	for name, l := range map[string]*latency{"late": &b.rush.m.late, "bot_hold": &b.rush.m.botHold} {
		if q := l.quantiles(); q.Max < behind*999/1000 { // three digits
			t.Errorf("%s is %v at the most of a bot that was due %v before", name, q.Max, behind)
		}
	}
}

func TestABotIsRefusedForWantOfStockOnlyIfThereWasNone(t *testing.T) {
	t.Parallel()
	f := newFake(t, breakage{})
	b := visitor(t, f, 0)
	b.automate()
	f.busy, f.taken = 3, 2
	got, _ := b.grab(t.Context(), botHands)
	refused, timed := b.rush.m.botRefused.Load(), b.rush.m.botHold.quantiles().Count
	if refused < 2 || refused+int64(len(got)) != botHands-3 || timed != botHands-3 {
		t.Errorf("%d held, %d refused and %d timed, of %d, 3 of which were put off", len(got), refused, timed, botHands)
	}
}
