// Package lifecycle is the one contract of everything that lives long: started
// once, stopped once, and stopped means that nothing of it runs any more.
//
// The contract is the one of riverqueue/river's startstop package; see STYLE in
// CONTRIBUTING.md.
package lifecycle

import (
	"context"
	"fmt"
	"sync"
)

// Part is anything long-lived. Start returns once it runs, or says why it can't;
// its ctx bounds the starting, not the life. Stop returns when the part has
// stopped, or when ctx ends first, with an error; calling it twice is fine.
type Part interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// Group runs the goroutines of a part, so that who starts one waits for it. The
// zero value is ready.
type Group struct {
	mu      sync.Mutex
	stopped bool                       // under mu
	next    int                        // under mu: the number of the next goroutine
	cancels map[int]context.CancelFunc // under mu: of the goroutines that run
	wg      sync.WaitGroup
}

// Go runs f on a goroutine of its own. The context that f gets has the values of
// ctx, not its end: only Stop cancels it. After Stop, Go does nothing and returns false.
func (g *Group) Go(ctx context.Context, f func(ctx context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if g.cancels == nil {
		g.cancels = map[int]context.CancelFunc{}
	}
	id := g.next
	g.next++
	g.cancels[id] = cancel
	g.wg.Go(func() {
		defer g.ended(id)
		f(ctx)
	})
	return true
}

func (g *Group) ended(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if cancel := g.cancels[id]; cancel != nil {
		cancel()
		delete(g.cancels, id)
	}
}

// Stop cancels every goroutine's context and waits for them all. It returns an
// error if ctx ends before they do.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopped = true
	for _, cancel := range g.cancels {
		cancel()
	}
	g.cancels = nil
	g.mu.Unlock()

	done := make(chan struct{})
	go func() { g.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("goroutines still running: %w", ctx.Err())
	}
}
