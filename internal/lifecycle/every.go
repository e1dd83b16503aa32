package lifecycle

import (
	"context"
	"time"
)

// Every calls f each time the period has passed, until ctx ends, and returns then. While a call
// takes longer than the period no other one begins; the next follows at once.
func Every(ctx context.Context, period time.Duration, f func(ctx context.Context)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if ctx.Err() != nil { // both may be so: then it has ended
				return
			}
			f(ctx)
		}
	}
}

// EveryWhile is Every for what there is seldom something to do for: it waits for a token of begin, calls f
// each time the period has passed for as long as f returns true, and waits again.
func EveryWhile(ctx context.Context, begin <-chan struct{}, period time.Duration, f func(ctx context.Context) (more bool)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-begin:
		}
		busy, rest := context.WithCancel(ctx)
		Every(busy, period, func(context.Context) {
			if !f(ctx) {
				rest()
			}
		})
		rest()
	}
}
