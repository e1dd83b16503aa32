package payment

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// faltering is a provider that fails, declines or answers as it is told to.
type faltering struct {
	Provider // for what is not asked: nil

	err     error
	outcome onsale.ChargeOutcome
	takes   time.Duration
	asked   atomic.Int64
}

func (f *faltering) Charge(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	f.asked.Add(1)
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return onsale.ChargeResult{}, ctx.Err()
	}
	return onsale.ChargeResult{Order: c.Order, Outcome: f.outcome}, f.err
}

func (f *faltering) Void(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	return f.Charge(ctx, c)
}

func (f *faltering) Refund(context.Context, onsale.Refund) (onsale.RefundResult, error) {
	f.asked.Add(1)
	return onsale.RefundResult{}, f.err
}

func (f *faltering) LookUp(context.Context, onsale.Charge) (onsale.ChargeResult, bool, error) {
	f.asked.Add(1)
	return onsale.ChargeResult{}, false, f.err
}

// beforeBreaker runs f with a breaker before a provider, in a bubble of simulated time.
func beforeBreaker(t *testing.T, f func(t *testing.T, p *faltering, b *Breaker, set *metrics.Set)) {
	synctest.Test(t, func(t *testing.T) {
		p, set := &faltering{outcome: onsale.ChargeCaptured}, metrics.NewSet()
		f(t, p, newBreaker(p, "simulator", openTime, set, slog.New(slog.DiscardHandler)), set)
	})
}

// charge asks n times, and returns how often the provider was asked.
func charge(t *testing.T, p *faltering, b *Breaker, n int) int64 {
	t.Helper()
	before := p.asked.Load()
	for range n {
		_, err := b.Charge(t.Context(), onsale.Charge{})
		if errors.Is(err, ErrNotAsked) && errors.Is(err, ErrRefused) {
			t.Errorf("%v", err)
		}
	}
	return p.asked.Load() - before
}

// open fails until the breaker is open.
func open(t *testing.T, p *faltering, b *Breaker) {
	t.Helper()
	p.err = errDown
	if n := charge(t, p, b, 2*minAsked); n != minAsked {
		t.Fatalf("open after %d failures, want %d", n, minAsked)
	}
}

func TestBreakerOpensWhenHalfOfTenSecondsFailed(t *testing.T) {
	for name, c := range map[string]struct {
		good, bad int
		pause     time.Duration // between the two
		err       error
		open      bool
	}{
		"too few to say":                 {0, minAsked - 1, 0, errDown, false},
		"all failed":                     {0, minAsked, 0, errDown, true},
		"half failed":                    {30, 30, 0, errDown, true},
		"less than half":                 {30, 29, 0, errDown, false},
		"the good ones are too long ago": {200, minAsked, failureWindow + failureStep, errDown, true},
		"timed out":                      {0, minAsked, 0, context.DeadlineExceeded, true},
		"declined":                       {0, 100, 0, nil, false},
		"refused for good":               {0, 100, 0, ErrRefused, false},
		"not decided yet":                {0, 100, 0, ErrPending, false},
		"stopped by us":                  {0, 100, 0, context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			beforeBreaker(t, func(t *testing.T, p *faltering, b *Breaker, _ *metrics.Set) {
				charge(t, p, b, c.good)
				<-time.After(c.pause)
				p.err, p.outcome = c.err, onsale.ChargeDeclined
				charge(t, p, b, c.bad)
				if asked := charge(t, p, b, 1) == 1; asked == c.open {
					t.Errorf("asked: %t", asked)
				}
			})
		})
	}
}

func TestOpenBreakerSendsOneCanaryAfterHalfAMinuteAndThenARamp(t *testing.T) {
	beforeBreaker(t, func(t *testing.T, p *faltering, b *Breaker, set *metrics.Set) {
		open(t, p, b)
		<-time.After(openTime - time.Millisecond)
		if n := charge(t, p, b, 100); n != 0 {
			t.Errorf("%d were asked while it was open", n)
		}
		<-time.After(2 * openMargin)
		if n := charge(t, p, b, 100); n != 1 {
			t.Errorf("%d canaries", n) // it fails: open again
		}
		<-time.After(openTime - time.Millisecond)
		if n := charge(t, p, b, 100); n != 0 {
			t.Errorf("%d were asked after the canary failed", n)
		}
		<-time.After(2 * openMargin)
		p.err = nil
		if n := charge(t, p, b, 1); n != 1 {
			t.Errorf("%d canaries", n)
		}
		for _, step := range []struct {
			after time.Duration
			want  int64 // of a thousand
		}{{0, 100}, {openTime / 2, 550}, {openTime / 2, 1000}, {time.Hour, 1000}} {
			<-time.After(step.after)
			if n := charge(t, p, b, 1000); n < step.want-1 || n > step.want+1 {
				t.Errorf("%d of a thousand passed, want %d", n, step.want)
			}
		}
		var text strings.Builder
		set.WritePrometheus(&text)
		for _, line := range []string{`onsale_payment_breaker_trips_total{provider="simulator"} 2`, `onsale_payment_breaker_state{provider="simulator"} 0`,
			`onsale_payment_breaker_admitted_share{provider="simulator"} 1`} {
			if !strings.Contains(text.String(), line+"\n") {
				t.Errorf("no %s in\n%s", line, text.String())
			}
		}
	})
}

func TestRampThatFailsOpensAgain(t *testing.T) {
	beforeBreaker(t, func(t *testing.T, p *faltering, b *Breaker, _ *metrics.Set) {
		open(t, p, b)
		<-time.After(openTime + 2*openMargin)
		p.err = nil
		charge(t, p, b, 1)
		p.err = errDown
		if n := charge(t, p, b, 1000); n != minAsked {
			t.Errorf("%d were asked before it opened again", n)
		}
	})
}

func TestVoidsRefundsAndLookUpsPassAnOpenBreaker(t *testing.T) {
	beforeBreaker(t, func(t *testing.T, p *faltering, b *Breaker, _ *metrics.Set) {
		open(t, p, b)
		before := p.asked.Load()
		for range 10 {
			if _, err := b.Void(t.Context(), onsale.Charge{}); !errors.Is(err, errDown) {
				t.Errorf("void: %v", err)
			}
			if _, err := b.Refund(t.Context(), onsale.Refund{}); !errors.Is(err, errDown) {
				t.Errorf("refund: %v", err)
			}
			if _, _, err := b.LookUp(t.Context(), onsale.Charge{}); !errors.Is(err, errDown) {
				t.Errorf("look-up: %v", err)
			}
		}
		if n := p.asked.Load() - before; n != 30 {
			t.Errorf("%d passed", n)
		}
		// One that a charge could have passed for is the canary.
		<-time.After(openTime + 2*openMargin)
		p.err = nil
		if _, err := b.Void(t.Context(), onsale.Charge{}); err != nil {
			t.Error(err)
		}
		if closed, _ := b.Closed(); !closed {
			t.Error("a void that was answered says that the provider is back")
		}
	})
}

func TestThereIsRoomForNothingThenForACanaryThenForAShare(t *testing.T) {
	beforeBreaker(t, func(t *testing.T, p *faltering, b *Breaker, _ *metrics.Set) {
		if n := b.Room(t.Context(), maxBatch); n != maxBatch {
			t.Errorf("room for %d", n)
		}
		open(t, p, b)
		began := time.Now()
		if n := b.Room(t.Context(), maxBatch); n != 1 || time.Since(began) != openTime+openMargin {
			t.Errorf("room for %d after %s", n, time.Since(began))
		}
		// While the canary is on its way there is room for nothing.
		p.err, p.takes = nil, 3*time.Second
		began = time.Now()
		go func() { _, _ = b.Charge(context.Background(), onsale.Charge{}) }()
		synctest.Wait()
		if n := b.Room(t.Context(), maxBatch); n != 51 || time.Since(began) != p.takes {
			t.Errorf("room for %d after %s", n, time.Since(began))
		}
		<-time.After(openTime)
		if n := b.Room(t.Context(), maxBatch); n != maxBatch {
			t.Errorf("room for %d after the ramp", n)
		}
		p.takes = 0
		open(t, p, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n := b.Room(ctx, maxBatch); n != 0 || ctx.Err() == nil {
			t.Errorf("room for %d", n)
		}
	})
}

func TestCanaryThatWeStopLetsAnotherGo(t *testing.T) {
	beforeBreaker(t, func(t *testing.T, p *faltering, b *Breaker, _ *metrics.Set) {
		open(t, p, b)
		<-time.After(openTime + 2*openMargin)
		p.err, p.takes = nil, time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = b.Charge(ctx, onsale.Charge{}) }()
		synctest.Wait()
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if n := b.Room(t.Context(), maxBatch); n != 1 || time.Since(began) != time.Second {
			t.Errorf("room for %d after %s", n, time.Since(began))
		}
	})
}
