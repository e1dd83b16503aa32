package payment

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/internal/kafka"
)

// These tests run the worker in a bubble of simulated time, between a provider and
// a Kafka that do as they are told. worker_kafka_test.go has the real ones.

func TestSlowChargeHoldsUpOthersForPatienceAtMost(t *testing.T) {
	all := charges(maxBatch)
	slow := all[3]
	const slowness = 7 * time.Second // more than patience, less than an attempt may take
	p := &script{charge: func(ctx context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) {
		if c.Order == slow.Order {
			<-time.After(slowness)
			return capture(c), ctx.Err()
		}
		return capture(c), nil
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		began := time.Now()
		if err := w.handle(t.Context(), records(t, all...)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("the batch took %s, want %s", took, patience)
		}
		for _, c := range all {
			if n, at := k.told(c.Order); c != slow && (n != 1 || at != began) {
				t.Fatalf("told %d times, after %s", n, at.Sub(began))
			}
		}
		back := k.takeBack(t)
		if len(back) != 1 || string(back[0].Key) != string(slow.Order) {
			t.Fatalf("put back %d charges", len(back))
		}
		// The copy comes round before the answer: it waits for the same attempt.
		if err := w.handle(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		<-time.After(slowness)
		synctest.Wait()
		if n, at := k.told(slow.Order); n != 1 || at.Sub(began) != slowness {
			t.Errorf("the slow one was told %d times, after %s", n, at.Sub(began))
		}
		if n := p.attempts(slow.Order); n != 1 {
			t.Errorf("the slow one was asked for %d times", n)
		}
		// Once more: it is asked for again, and told again.
		if err := w.handle(t.Context(), k.takeBack(t)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUnansweredChargeIsLookedUp(t *testing.T) {
	c := charges(1)[0]
	p := &script{
		charge: func(context.Context, onsale.Charge, int) (onsale.ChargeResult, error) {
			return onsale.ChargeResult{}, errDown
		},
		lookUp: func(onsale.OrderID) (onsale.ChargeResult, bool, error) { return capture(c), true, nil },
	}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		if err := w.handle(t.Context(), records(t, c)); err != nil {
			t.Fatal(err)
		}
		if n, _ := k.told(c.Order); n != 1 || p.attempts(c.Order) != 1 || p.lookUps != 1 {
			t.Errorf("told %d, asked %d, looked up %d times", n, p.attempts(c.Order), p.lookUps)
		}
	})
}

func TestUnknownIsNeverToldAndNeverForgotten(t *testing.T) {
	const outage = 20 * time.Minute
	var up time.Time
	var lookUps atomic.Int64
	p := &script{charge: func(ctx context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) {
		if time.Now().Before(up) {
			<-ctx.Done() // it never answers
			return onsale.ChargeResult{}, ctx.Err()
		}
		return capture(c), nil
	}, lookUp: func(onsale.OrderID) (onsale.ChargeResult, bool, error) {
		if lookUps.Add(1)%2 == 0 {
			return onsale.ChargeResult{}, false, errDown
		}
		return onsale.ChargeResult{}, false, nil
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		began := time.Now()
		up = began.Add(outage)
		all := charges(20)
		for queue := records(t, all...); len(queue) > 0; queue = append(queue, k.takeBack(t)...) {
			n := min(w.breaker.Room(t.Context(), maxBatch), len(queue))
			if err := w.handle(t.Context(), queue[:n]); err != nil {
				t.Fatal(err)
			}
			queue = queue[n:]
		}
		for _, c := range all {
			if n, at := k.told(c.Order); n < 1 || at.Before(up) {
				t.Errorf("told %d times, %s before there was an answer", n, up.Sub(at))
			} else if late := at.Sub(up); late > attemptTime+2*openTime {
				t.Errorf("told %s after the provider was back", late)
			}
		}
	})
}

func TestHopelessChargesDoNotFillTheRoomForGood(t *testing.T) {
	hopeless := charges(maxUndecided)
	isHopeless := map[onsale.OrderID]bool{}
	for _, c := range hopeless {
		isHopeless[c.Order] = true
	}
	p := &script{charge: func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) {
		if isHopeless[c.Order] {
			return onsale.ChargeResult{}, ErrPending // which is no failure of the provider's
		}
		return capture(c), nil
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		for batch := range slices.Chunk(hopeless, maxBatch) {
			if err := w.handle(t.Context(), records(t, batch...)); err != nil {
				t.Fatal(err)
			}
		}
		fresh := charges(1)[0]
		began := time.Now()
		queue := append(k.takeBack(t), records(t, fresh)...)
		for {
			if n, _ := k.told(fresh.Order); n > 0 {
				break
			}
			if time.Since(began) > 5*decidingTime {
				t.Fatal("a charge that could be decided found no room")
			}
			n := min(maxBatch, len(queue))
			if err := w.handle(t.Context(), queue[:n]); err != nil {
				t.Fatal(err)
			}
			queue = append(queue[n:], k.takeBack(t)...)
		}
		if len(queue) < maxUndecided-maxBatch {
			t.Errorf("only %d of the hopeless are still in Kafka", len(queue))
		}
	})
}

func TestQuestionsUnderWayAreBounded(t *testing.T) {
	p := &script{charge: func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) {
		<-time.After(100 * time.Millisecond)
		return capture(c), nil
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, _ *topics) {
		if err := w.handle(t.Context(), records(t, charges(maxBatch)...)); err != nil {
			t.Fatal(err)
		}
		if p.most != DefaultParallel {
			t.Errorf("%d questions at once, want %d", p.most, DefaultParallel)
		}
	})
}

func TestStopLeavesTheUndecidedToTheNextWorker(t *testing.T) {
	all := charges(2)
	p := &script{charge: func(ctx context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) {
		if c.Order == all[0].Order {
			return capture(c), nil
		}
		<-ctx.Done()
		return onsale.ChargeResult{}, ctx.Err()
	}}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		ctx, cancel := context.WithTimeout(t.Context(), patience/2)
		defer cancel()
		if err := w.handle(ctx, records(t, all...)); err == nil {
			t.Error("a batch with an undecided charge may be committed")
		}
		if n, _ := k.told(all[0].Order); n != 1 || len(k.back) > 0 {
			t.Errorf("the decided one was told %d times, %d put back", n, len(k.back))
		}
	})
}

func TestBatchIsDoneOnlyWhenKafkaHasItsResults(t *testing.T) {
	all := charges(3)
	p := &script{charge: func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) { return capture(c), nil }}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		k.setDown(true)
		if err := w.handle(t.Context(), records(t, all...)); !errors.Is(err, errDown) {
			t.Errorf("with Kafka down: %v", err)
		}
		bad := []kafka.Record{{Topic: onsale.TopicCharges, Value: []byte("{")}}
		if err := w.handle(t.Context(), bad); !errors.Is(err, errDown) {
			t.Errorf("a bad record with Kafka down: %v", err)
		}
		k.setDown(false)
		for batch := records(t, all...); len(batch) > 0; batch = k.takeBack(t) {
			if err := w.handle(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range all {
			if n, _ := k.told(c.Order); n == 0 {
				t.Errorf("%s was not told", c.Order)
			}
		}
	})
}

func TestRecordThatCanNeverBeChargedIsBuriedAlone(t *testing.T) {
	good := charges(7)
	broken := slices.Clone(good[1:])
	broken[0].Order = "order-1"
	broken[1].Event = "rodeo"
	broken[2].Amount = -1
	broken[3].Currency = ""
	broken[4].PaymentToken = ""
	bad := records(t, broken[:5]...)
	bad = append(bad, &kgo.Record{Topic: onsale.TopicCharges, Value: []byte(`{"order":`)}, &kgo.Record{Topic: onsale.TopicCharges})
	p := &script{charge: func(_ context.Context, c onsale.Charge, _ int) (onsale.ChargeResult, error) { return capture(c), nil }}
	inBubble(t, p, func(t *testing.T, w *Worker, k *topics) {
		if err := w.handle(t.Context(), append(bad, records(t, good[0])...)); err != nil {
			t.Fatal(err)
		}
		if len(k.dead) != len(bad) {
			t.Errorf("%d buried, want %d", len(k.dead), len(bad))
		}
		if n, _ := k.told(good[0].Order); n != 1 || len(k.results) != 1 {
			t.Errorf("the good one was told %d times, %d results in all", n, len(k.results))
		}
	})
}
