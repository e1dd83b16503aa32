package engine

import (
	"context"
	"sync"
	"time"
)

// readyFor is how long an answer of the stores is good for. Asking opens
// connections, and /readyz is open to everybody.
const readyFor = time.Second

// readiness asks the stores whether they answer, at most once every readyFor,
// however many want to know.
type readiness struct {
	ask func(context.Context) error

	mu    sync.Mutex // held while asking, so that the others wait for the same answer
	asked time.Time  // under mu: when the last answer came
	err   error      // under mu: that answer
}

// check returns nil if every store answers, or did so a moment ago.
func (r *readiness) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < readyFor {
		return r.err
	}
	r.err = r.ask(ctx)
	r.asked = time.Now()
	return r.err
}
