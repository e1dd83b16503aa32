package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryCallsOncePerPeriodUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+500*time.Millisecond)
		defer cancel()
		calls, began := 0, time.Now()
		Every(ctx, time.Second, func(context.Context) { calls++ })
		if took := time.Since(began); calls != 10 || took != 10*time.Second+500*time.Millisecond {
			t.Errorf("%d calls in %v", calls, took)
		}
	})
}

func TestEveryNeverBeginsACallWhileOneIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var began []time.Duration
		start := time.Now()
		Every(ctx, time.Second, func(context.Context) {
			began = append(began, time.Since(start))
			<-time.After(2500 * time.Millisecond)
		})
		for i := 1; i < len(began); i++ {
			if began[i]-began[i-1] < 2500*time.Millisecond {
				t.Errorf("calls began at %v", began)
			}
		}
		if len(began) != 4 { // after 1, 3.5, 6 and 8.5 s
			t.Errorf("calls began at %v", began)
		}
	})
}

func TestEveryWhileSleepsUntilItIsAskedAndWhileThereIsNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin, calls, left := make(chan struct{}, 1), 0, 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			EveryWhile(ctx, begin, time.Second, func(context.Context) bool {
				calls++
				left--
				return left > 0
			})
		}()
		for round, want := range []int{0, 3, 4} { // calls in all, after none, three and one are asked for
			if left = want - calls; left > 0 {
				begin <- struct{}{}
			}
			<-time.After(time.Minute)
			synctest.Wait()
			if calls != want {
				t.Errorf("round %d: %d calls, want %d", round, calls, want)
			}
		}
		cancel()
		<-ended
	})
}
