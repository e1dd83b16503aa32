package notify

import (
	"context"
	"log/slog"
	"time"

	"onsale/internal/lifecycle"
)

const (
	// keepPeriod is how often the deliveries are looked through.
	keepPeriod = 15 * time.Second
	// keepPortion and keepPortions bound what one look changes: it must not hold up those
	// who send.
	keepPortion  = 1000
	keepPortions = 20
)

// keeper keeps the deliveries bounded, and measures how the queues stand.
type keeper struct {
	book   Book
	meters *meters
	log    *slog.Logger
	group  lifecycle.Group
}

// Start implements lifecycle.Part.
func (k *keeper) Start(ctx context.Context) error {
	k.group.Go(ctx, k.run)
	return nil
}

// Stop implements lifecycle.Part.
func (k *keeper) Stop(ctx context.Context) error { return k.group.Stop(ctx) }

func (k *keeper) run(ctx context.Context) {
	k.look(ctx)
	lifecycle.Every(ctx, keepPeriod, k.look)
}

func (k *keeper) look(ctx context.Context) {
	if err := k.keep(ctx); err != nil && ctx.Err() == nil {
		k.log.Warn("can't look through the deliveries; it is tried again", "error", err)
	}
}

func (k *keeper) keep(ctx context.Context) error {
	for range keepPortions {
		dead, more, err := k.book.KeepDeliveries(ctx, keepPortion)
		k.meters.expired.Add(dead)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	counts, err := k.book.CountDeliveries(ctx)
	if err != nil {
		return err
	}
	k.meters.setQueues(counts)
	return nil
}
