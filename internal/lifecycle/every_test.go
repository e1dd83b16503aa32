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
