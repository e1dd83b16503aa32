package simulator

import (
	"context"
	"fmt"
	"sync"

	"onsale"
)

// keys lets one request at a time work on an idempotency key, so that requests
// under the same key, at the same moment, charge once. It also counts how often a
// key has failed before charging. The zero value is ready.
type keys struct {
	mu     sync.Mutex
	busy   map[onsale.OrderID]chan struct{} // under mu; closed when the key is free
	failed map[onsale.OrderID]int           // under mu; until the key is charged
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
			return fmt.Errorf("wait for the same charge under way: %w", ctx.Err())
		}
	}
}

func (k *keys) unlock(order onsale.OrderID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.busy[order])
	delete(k.busy, order)
}

// failures returns how often the key has failed.
func (k *keys) failures(order onsale.OrderID) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed[order]
}

// fail counts a failure of the key.
func (k *keys) fail(order onsale.OrderID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed == nil {
		k.failed = map[onsale.OrderID]int{}
	}
	k.failed[order]++
}

// forget ends the counting: the key is charged.
func (k *keys) forget(order onsale.OrderID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.failed, order)
}
