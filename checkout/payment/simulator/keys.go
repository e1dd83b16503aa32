package simulator

import (
	"context"
	"fmt"
	"sync"

	"onsale"
)

// keys lets one request at a time work on an idempotency key, so that requests
// under the same key, at the same moment, charge once. The key is the order's, also of
// its voids and refunds: what is left of a charge is one thing. It also counts how
// often something has failed before it was done. The zero value is ready.
type keys struct {
	mu     sync.Mutex
	busy   map[onsale.OrderID]chan struct{} // under mu; closed when the key is free
	failed map[string]int                   // under mu; by what was asked for, until it is done
}

// lock waits until the key is free and takes it. It fails only if ctx ends first.
func (k *keys) lock(ctx context.Context, order onsale.OrderID) error {
	for {
		k.mu.Lock()
		free, taken := k.busy[order]
		if !taken {
			if k.busy == nil {
				k.busy = map[onsale.OrderID]chan struct{}{}
			}
			k.busy[order] = make(chan struct{})
			k.mu.Unlock()
			return nil
		}
		k.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return fmt.Errorf("wait for the same order's under way: %w", ctx.Err())
		}
	}
}

func (k *keys) unlock(order onsale.OrderID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.busy[order])
	delete(k.busy, order)
}

// failures returns how often what was asked for has failed.
func (k *keys) failures(what string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed[what]
}

// fail counts a failure.
func (k *keys) fail(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed == nil {
		k.failed = map[string]int{}
	}
	k.failed[what]++
}

// forget ends the counting: it is done.
func (k *keys) forget(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.failed, what)
}
