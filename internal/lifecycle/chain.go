package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"

	"onsale"
)

// started is the parts that run, of several that start in order.
type started struct {
	mu    sync.Mutex
	parts []Part // under mu
}

// start starts every part in order. If one fails, stop is called for those before it.
func (s *started) start(ctx context.Context, parts []Part, stop func(context.Context) error) error {
	for _, part := range parts {
		if err := part.Start(ctx); err != nil {
			return errors.Join(err, stop(context.WithoutCancel(ctx)))
		}
		s.mu.Lock()
		s.parts = append(s.parts, part)
		s.mu.Unlock()
	}
	return nil
}

// take returns the parts that are to be stopped, once.
func (s *started) take() []Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := s.parts
	s.parts = nil
	return parts
}

// Chain is parts that start in order and stop in the reverse order. It is itself
// a part.
type Chain struct {
	Parts   []Part // set before Start, never changed after
	started started
}

// Start starts every part in order. If one fails, those before it are stopped.
func (c *Chain) Start(ctx context.Context) error { return c.started.start(ctx, c.Parts, c.Stop) }

// Stop stops the started parts, last first, and returns what went wrong. Each has
// onsale.StopTimeout of its own: one that hangs takes no time from the others.
func (c *Chain) Stop(ctx context.Context) error {
	var errs []error
	for _, part := range slices.Backward(c.started.take()) {
		errs = append(errs, stopInTime(ctx, part))
	}
	return errors.Join(errs...)
}

func stopInTime(ctx context.Context, p Part) error {
	ctx, cancel := context.WithTimeout(ctx, onsale.StopTimeout)
	defer cancel()
	return p.Stop(ctx)
}

// Together is parts that don't need each other: they start in order, and stop at once, so
// that stopping takes as long as the slowest of them, not as long as all. It is itself a part.
type Together struct {
	Parts   []Part // set before Start, never changed after
	started started
}

// Start starts every part in order. If one fails, those before it are stopped.
func (p *Together) Start(ctx context.Context) error { return p.started.start(ctx, p.Parts, p.Stop) }

// Stop stops the started parts at once, and returns what went wrong. They share ctx's time.
func (p *Together) Stop(ctx context.Context) error {
	parts := p.started.take()
	errs := make([]error, len(parts))
	var stopping sync.WaitGroup
	for i, part := range parts {
		stopping.Go(func() { errs[i] = part.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}
