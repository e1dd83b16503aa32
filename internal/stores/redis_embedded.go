package stores

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"onsale/internal/lifecycle"
)

// expireEvery is how often miniredis is told that time has passed: by itself it
// never expires a key.
const expireEvery = 50 * time.Millisecond

// embedded is a miniredis with a clock.
type embedded struct {
	server *miniredis.Miniredis
	clock  lifecycle.Group
}

// startEmbedded runs a miniredis. The caller has r.mu.
func (r *Redis) startEmbedded(port int) error {
	e := &embedded{server: miniredis.NewMiniRedis()}
	e.server.RequireAuth(r.password)
	if err := e.server.StartAddr(address(port)); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return errPortInUse
		}
		return fmt.Errorf("start miniredis: %w", err)
	}
	e.clock.Go(context.Background(), e.tick)
	r.embedded = e
	return nil
}

func (e *embedded) tick(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			e.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (e *embedded) stop(ctx context.Context) error {
	err := e.clock.Stop(ctx)
	e.server.Close()
	if err != nil {
		return fmt.Errorf("stop miniredis: %w", err)
	}
	return nil
}
