package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// The schedule is open-loop: when each buyer arrives is fixed before the first one
// does, so a slow server gets no fewer buyers, only more impatient ones.

// arrivals returns when each of n buyers arrives, counted from the opening, earliest
// first. They are independent and uniform over the given time: what a Poisson process
// looks like once it is known how many came. The same seed gives the same arrivals.
func arrivals(n int, over time.Duration, seed uint64) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, arrivalStream))
	at := make([]time.Duration, n)
	if over > 0 {
		for i := range at {
			at[i] = time.Duration(rng.Int64N(int64(over)))
		}
		slices.Sort(at)
	}
	return at
}

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
