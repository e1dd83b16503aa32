package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestABackoffDoublesUpToItsLastAndIsHalfOfThatAtLeast(t *testing.T) {
	b := Backoff{First: 100 * time.Millisecond, Last: time.Second}
	for failures, most := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 1 << 30: time.Second,
	} {
		for range 100 {
			if wait := b.Wait(failures); wait < most/2 || wait > most {
				t.Fatalf("after %d failures it waits %v, want half of %v at least", failures, wait, most)
			}
		}
	}
}

func TestThoseThatFailedTogetherDontComeBackTogether(t *testing.T) {
	waits := map[time.Duration]bool{}
	for range 100 {
		waits[Backoff{First: time.Minute, Last: time.Hour}.Wait(3)] = true
	}
	if len(waits) < 90 {
		t.Errorf("a hundred of them wait %d different times", len(waits))
	}
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if !Pause(ctx, time.Second/2) || Pause(ctx, time.Hour) || time.Since(began) != time.Second {
			t.Errorf("after %v", time.Since(began))
		}
	})
}
