package lifecycle

import (
	"context"
	"errors"
	"sync"
)

// Together is parts that don't need each other: they start in order, and stop at once, so
// that stopping takes as long as the slowest of them, not as long as all. It is itself a part.
type Together struct {
	mu      sync.Mutex
	started []Part // under mu
	Parts   []Part // set before Start, never changed after
}

// Start starts every part in order. If one fails, those before it are stopped.
func (p *Together) Start(ctx context.Context) error {
	for _, part := range p.Parts {
		if err := part.Start(ctx); err != nil {
			return errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
		}
		p.mu.Lock()
		p.started = append(p.started, part)
		p.mu.Unlock()
	}
	return nil
}

// Stop stops the started parts at once, and returns what went wrong. They share ctx's time.
func (p *Together) Stop(ctx context.Context) error {
	p.mu.Lock()
	started := p.started
	p.started = nil
	p.mu.Unlock()
	errs := make([]error, len(started))
	var stopping sync.WaitGroup
	for i, part := range started {
		stopping.Go(func() { errs[i] = part.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}
