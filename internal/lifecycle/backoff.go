package lifecycle

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long whoever has failed waits before it tries again: First, then twice as
// long with each failure on end, Last at the most. Of that it waits, at random, a half or
// more: those that failed together don't come back together.
type Backoff struct{ First, Last time.Duration }

// Wait is the wait after so many failures on end, 1 or more.
func (b Backoff) Wait(failures int) time.Duration {
	wait := b.First
	for i := 1; i < failures && wait < b.Last; i++ {
		wait *= 2
	}
	wait = min(wait, b.Last)
	return wait/2 + rand.N(wait/2+1)
}

// Pause waits. It returns false if ctx ends first.
func Pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
