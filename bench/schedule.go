package bench

import (
	"context"
	"time"
)

// The schedule is open-loop: when each buyer arrives is fixed before the first one
// does, so a slow server gets no fewer buyers, only more impatient ones. How their arrivals
// are spread is the Profile's.

// arrivalStream keeps the random numbers of the arrivals apart from those of every
// buyer, whose stream is their number.
const arrivalStream = 1 << 63

// waitUntil returns at the given time, or false as soon as ctx ends.
func waitUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
