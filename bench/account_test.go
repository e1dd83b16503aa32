package bench

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// TestAccountsAreJoinedExactly has what was measured split among many tellings of several workers: it
// ends as if one had measured it all.
func TestAccountsAreJoinedExactly(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var whole, joined measured
	var workers [3]measured
	tellers := []*teller{newTeller(&workers[0]), newTeller(&workers[1]), newTeller(&workers[2])}
	for range 2_000 {
		i := rng.IntN(len(workers))
		took := time.Duration(rng.Int64N(int64(20 * time.Minute))) // some beyond the range
		for _, m := range []*measured{&whole, &workers[i]} {
			m.hold.record(took)
			m.held.Add(1)
			m.active.Add(1 - int64(took%3)) // which goes down, too
		}
		if rng.IntN(50) == 0 {
			tell(t, tellers[i], &joined)
		}
	}
	for _, teller := range tellers {
		tell(t, teller, &joined)
		tell(t, teller, &joined) // there is nothing more to tell
	}
	if joined.hold.quantiles() != whole.hold.quantiles() {
		t.Errorf("joined %+v, measured %+v", joined.hold.quantiles(), whole.hold.quantiles())
	}
	if !joined.hold.hist.Equals(whole.hold.hist) {
		t.Error("the histograms differ")
	}
	if joined.held.Load() != whole.held.Load() || joined.active.Load() != whole.active.Load() {
		t.Errorf("joined %d held, %d active; measured %d and %d", joined.held.Load(), joined.active.Load(), whole.held.Load(), whole.active.Load())
	}
}

func tell(t *testing.T, from *teller, to *measured) {
	t.Helper()
	told, err := from.next()
	if err == nil {
		err = to.add(told)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverythingThatIsMeasuredIsJoined(t *testing.T) {
	t.Parallel()
	var one, joined measured
	n := int64(0)
	err := one.each(func(_ string, count *atomic.Int64) error { n++; count.Store(n); return nil },
		func(_ string, l *latency) error { n++; l.record(time.Duration(n) * time.Second); return nil })
	if err != nil {
		t.Fatal(err)
	}
	tell(t, newTeller(&one), &joined)
	n = 0
	err = joined.each(func(name string, count *atomic.Int64) error {
		if n++; count.Load() != n {
			t.Errorf("%s is %d, not %d", name, count.Load(), n)
		}
		return nil
	}, func(name string, l *latency) error {
		if n++; l.quantiles().Count != 1 {
			t.Errorf("%s has %d values", name, l.quantiles().Count)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoHistogramIsRefused(t *testing.T) {
	t.Parallel()
	var l latency
	for _, encoded := range [][]byte{{0}, {0x80}, {0, 0x80}, {0xff, 0xff, 0xff, 0xff, 0x7f, 1}, {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if err := l.addEncoded(encoded); !errors.Is(err, errNoHistogram) {
			t.Errorf("% x: %v", encoded, err)
		}
	}
	if l.quantiles().Count != 0 {
		t.Error("something of it was taken")
	}
}
