// Package lifecycle is the one contract of everything that lives long: started
// once, stopped once, and stopped means that nothing of it runs any more.
//
// The contract is the one of riverqueue/river's startstop package; see STYLE in
// CONTRIBUTING.md.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"onsale"
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

// Chain is parts that start in order and stop in the reverse order. It is itself
// a part.
type Chain struct {
	mu      sync.Mutex
	started []Part // under mu
	Parts   []Part // set before Start, never changed after
}

// Start starts every part in order. If one fails, those before it are stopped.
func (c *Chain) Start(ctx context.Context) error {
	for _, p := range c.Parts {
		if err := p.Start(ctx); err != nil {
			return errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
		}
		c.mu.Lock()
		c.started = append(c.started, p)
		c.mu.Unlock()
	}
	return nil
}

// Stop stops the started parts, last first, and returns what went wrong. Each has
// onsale.StopTimeout of its own: one that hangs takes no time from the others.
func (c *Chain) Stop(ctx context.Context) error {
	c.mu.Lock()
	started := c.started
	c.started = nil
	c.mu.Unlock()
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		errs = append(errs, c.stop(ctx, started[i]))
	}
	return errors.Join(errs...)
}

func (c *Chain) stop(ctx context.Context, p Part) error {
	ctx, cancel := context.WithTimeout(ctx, onsale.StopTimeout)
	defer cancel()
	return p.Stop(ctx)
}
