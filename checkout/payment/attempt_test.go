package payment

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"onsale"
)

func void(c onsale.Charge) (onsale.ChargeResult, error) {
	return onsale.ChargeResult{Order: c.Order, Event: c.Event, Outcome: onsale.ChargeDeclined, Reason: onsale.DeclinedVoided}, nil
}

// decideAll has the worker handle a charge until it is told, as Kafka would.
func decideAll(t *testing.T, w *Worker, k *topics, c onsale.Charge) onsale.ChargeResult {
	t.Helper()
	began := time.Now()
	for batch := records(t, c); len(batch) > 0; batch = k.takeBack(t) {
		if time.Since(began) > 2*time.Hour {
			t.Fatal("undecided for ever")
		}
		if w.breaker.Room(t.Context(), maxBatch) == 0 {
			t.Fatal("no room")
		}
		if err := w.handle(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.results) == 0 {
		t.Fatal("nothing was told")
	}
	return k.results[len(k.results)-1]
}

func TestChargeThatIsRefusedForGoodIsVoidedAndDeclined(t *testing.T) {
	refused := func(context.Context, onsale.Charge, int) (onsale.ChargeResult, error) {
		return onsale.ChargeResult{}, fmt.Errorf("no such token: %w", ErrRefused)
	}
	for name, c := range map[string]struct {
		lookUp         func(onsale.OrderID) (onsale.ChargeResult, bool, error)
		void           func(onsale.Charge) (onsale.ChargeResult, error)
		outcome        onsale.ChargeOutcome
		reason         string
		lookUps, voids int
	}{
		"and is unknown": {nil, void, onsale.ChargeDeclined, onsale.DeclinedRefused, 1, 1},
		"and was captured before": {func(o onsale.OrderID) (onsale.ChargeResult, bool, error) {
			return capture(onsale.Charge{Order: o, Currency: "EUR"}), true, nil
		}, nil, onsale.ChargeCaptured, "", 1, 0},
		"and was captured before it could be voided": {
			nil, func(c onsale.Charge) (onsale.ChargeResult, error) { return capture(c), nil }, onsale.ChargeCaptured, "", 1, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &script{charge: refused, lookUp: c.lookUp, void: c.void}
			inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
				r := decideAll(t, w, k, charges(1)[0])
				if r.Outcome != c.outcome || r.Reason != c.reason || p.lookUps != c.lookUps || p.voids != c.voids {
					t.Errorf("%+v after %d look-ups and %d voids", r, p.lookUps, p.voids)
				}
			})
		})
	}
}

func TestRefusedIsDeclinedOnlyWhenItIsSurelyVoided(t *testing.T) {
	voids := 0
	p := &script{
		charge: func(context.Context, onsale.Charge, int) (onsale.ChargeResult, error) {
			return onsale.ChargeResult{}, ErrRefused
		},
		void: func(c onsale.Charge) (onsale.ChargeResult, error) {
			if voids++; voids < 5 {
				return onsale.ChargeResult{}, errDown
			}
			return void(c)
		},
	}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		if r := decideAll(t, w, k, charges(1)[0]); r.Reason != onsale.DeclinedRefused || voids != 5 {
			t.Errorf("%+v after %d voids", r, voids)
		}
	})
}

func TestUndecidedForTooLongIsVoidedOrFoundCaptured(t *testing.T) {
	for name, c := range map[string]struct {
		void    func(onsale.Charge) (onsale.ChargeResult, error)
		outcome onsale.ChargeOutcome
		reason  string
	}{
		"voided":   {void, onsale.ChargeDeclined, onsale.DeclinedTimeout},
		"captured": {func(c onsale.Charge) (onsale.ChargeResult, error) { return capture(c), nil }, onsale.ChargeCaptured, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &script{void: c.void, charge: func(context.Context, onsale.Charge, int) (onsale.ChargeResult, error) {
				return onsale.ChargeResult{}, ErrPending // the bank asks its customer
			}}
			inBubble(t, p, func(t *testing.T, w *Worker, k *topics) { // which gives up after an hour
				began := time.Now()
				r := decideAll(t, w, k, charges(1)[0])
				if took := time.Since(began); r.Outcome != c.outcome || r.Reason != c.reason || took < time.Hour || took > time.Hour+time.Minute {
					t.Errorf("%+v after %s", r, took)
				}
			})
		})
	}
}

func TestAChargeThatOnlyWaitedIsAskedForAndNotCalledOff(t *testing.T) {
	p := &script{void: void, charge: func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) { return capture(c), nil }}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) { // which gives up after an hour
		claimed, asked := charges(2)[0], charges(2)[1]
		claimed.At = time.Now().Add(-3 * time.Hour)
		asked.AskedAt = time.Now().Add(-3 * time.Hour) // before an outage, say
		for _, c := range []onsale.Charge{claimed, asked} {
			if r := decideAll(t, w, k, c); r.Outcome != onsale.ChargeCaptured || p.voids != 0 {
				t.Errorf("%+v after %d voids", r, p.voids)
			}
		}
	})
}

func TestCapturedWithoutACurrencyIsUnknown(t *testing.T) {
	p := &script{charge: func(_ context.Context, c onsale.Charge, attempt int) (onsale.ChargeResult, error) {
		r := capture(c)
		if attempt == 1 {
			r.Currency = ""
		}
		return r, nil
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		if r := decideAll(t, w, k, charges(1)[0]); r.Currency == "" {
			t.Errorf("told %+v", r)
		}
	})
}

// The provider is down for longer than decisions stay in memory: what is taken from
// Kafka is put back once, and then nothing moves until a canary has come back.
func TestWhileTheBreakerIsOpenOrdersWaitInKafka(t *testing.T) {
	const outage = 10 * time.Minute
	up := time.Time{}
	p := &script{charge: func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) {
		if time.Now().Before(up) {
			return onsale.ChargeResult{}, errDown
		}
		return capture(c), nil
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		began := time.Now()
		up = began.Add(outage)
		all := charges(3 * maxBatch)
		queue, batches, putBack := records(t, all...), 0, 0
		for len(queue) > 0 {
			n := min(w.breaker.Room(t.Context(), maxBatch), len(queue))
			if err := w.handle(t.Context(), queue[:n]); err != nil {
				t.Fatal(err)
			}
			back := k.takeBack(t)
			if time.Now().Before(up) {
				batches, putBack = batches+1, putBack+len(back)
			}
			queue = append(queue[n:], back...)
		}
		// One batch to find out, and a canary each half minute.
		if most := 1 + int(outage/openTime); batches > most || putBack > maxBatch+most {
			t.Errorf("%d batches were taken and %d charges put back while it was down", batches, putBack)
		}
		for _, c := range all {
			if n, at := k.told(c.Order); n == 0 || at.Sub(up) > openTime+2*openTime {
				t.Fatalf("told %d times, %s after it was back", n, at.Sub(up))
			}
		}
	})
}

func TestBreakersStateIsToldWhileItIsNotClosedAndOnceAfter(t *testing.T) {
	p := &script{charge: func(context.Context, onsale.Charge, int) (onsale.ChargeResult, error) {
		return onsale.ChargeResult{}, errDown
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		w.deciding.Go(t.Context(), w.teller.run)
		heard := func() (delayed, over int) {
			synctest.Wait()
			k.mu.Lock()
			defer k.mu.Unlock()
			for _, n := range k.news {
				if n.Worker != w.teller.news.Worker || n.Provider != DefaultName {
					t.Errorf("%+v", n)
				}
				if n.DelayedForMs == newsLife.Milliseconds() {
					delayed++
				} else if n.DelayedForMs == 0 {
					over++
				}
			}
			k.news = nil
			return delayed, over
		}
		<-time.After(time.Minute)
		if delayed, over := heard(); delayed+over != 0 {
			t.Errorf("told %d and %d times of nothing", delayed, over)
		}
		for range minAsked {
			_, _ = w.breaker.Charge(t.Context(), charges(1)[0])
		}
		if delayed, _ := heard(); delayed == 0 {
			t.Error("not told at once")
		}
		k.setDown(true)
		<-time.After(9 * time.Second) // between two tickings
		k.setDown(false)
		<-time.After(8 * time.Second)
		if delayed, over := heard(); delayed != 4 || over != 0 {
			t.Errorf("told %d times in eight seconds, and %d that it is over", delayed, over)
		}
		<-time.After(openTime)
		p.charge = func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) { return capture(c), nil }
		if _, err := w.breaker.Charge(t.Context(), charges(1)[0]); err != nil {
			t.Error(err)
		}
		if _, over := heard(); over != 1 {
			t.Errorf("told %d times that it is over", over)
		}
		<-time.After(time.Minute)
		if delayed, over := heard(); delayed+over != 0 {
			t.Errorf("told %d and %d times of nothing", delayed, over)
		}
	})
}

func TestChargeThatIsNotAskedForIsNotLookedUp(t *testing.T) {
	p := &script{charge: func(context.Context, onsale.Charge, int) (onsale.ChargeResult, error) {
		return onsale.ChargeResult{}, errDown
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, _ *topics) {
		for range minAsked {
			if _, err := w.breaker.Charge(t.Context(), charges(1)[0]); errors.Is(err, ErrNotAsked) {
				t.Fatal("open too early")
			}
		}
		d := &decision{charge: charges(1)[0]}
		if _, err := w.undecided.attempt(t.Context(), d); !errors.Is(err, ErrNotAsked) || p.lookUps != 0 {
			t.Errorf("%v after %d look-ups", err, p.lookUps)
		}
		d.noteAsked(time.Now()) // it may have been charged: that can be known all the same
		if _, err := w.undecided.attempt(t.Context(), d); !errors.Is(err, ErrNotAsked) || p.lookUps != 1 {
			t.Errorf("%v after %d look-ups", err, p.lookUps)
		}
	})
}
