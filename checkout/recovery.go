package checkout

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/lifecycle"
)

const (
	// recoverEvery is how often pins are looked into.
	recoverEvery = 15 * time.Second
	// recoverMost is how many pins of an event are looked into at once.
	recoverMost = 1000
	// recoverTimeout bounds one round.
	recoverTimeout = 60 * time.Second
)

// RecoveryConfig says whom recovery asks.
type RecoveryConfig struct {
	Desk   *holds.Desk
	Events func(ctx context.Context) ([]onsale.EventID, error)
	// Drained returns nil once every purchase that was in Kafka when it was called
	// has been claimed or rejected in Postgres.
	Drained func(ctx context.Context) error
	// States returns the states of those of the orders that Postgres has.
	States func(ctx context.Context, orders []onsale.OrderID) (map[onsale.OrderID]onsale.OrderState, error)
	Log    *slog.Logger
}

// Recovery finds the pins that a crash left without an order, and frees them; and
// those whose order has ended without Redis being told, and settles them. It
// never guesses: a pin is freed only when it is older than any produce can be
// under way, every purchase in Kafka has reached Postgres, and there is no order.
type Recovery struct {
	cfg   RecoveryConfig
	group lifecycle.Group
}

// NewRecovery returns a recovery that has not started.
func NewRecovery(cfg RecoveryConfig) *Recovery { return &Recovery{cfg: cfg} }

// Start begins to look, every recoverEvery.
func (r *Recovery) Start(ctx context.Context) error {
	r.group.Go(ctx, func(ctx context.Context) {
		tick := time.NewTicker(recoverEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := r.round(ctx, time.Now().Add(-onsale.OrphanAge)); err != nil && ctx.Err() == nil {
					r.cfg.Log.Warn("recovery of pins failed; it is tried again", "error", err)
				}
			}
		}
	})
	return nil
}

// Stop ends a round under way and returns.
func (r *Recovery) Stop(ctx context.Context) error { return r.group.Stop(ctx) }

// round looks into every hold that was pinned before the given time.
func (r *Recovery) round(ctx context.Context, before time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	events, err := r.cfg.Events(ctx)
	if err != nil {
		return fmt.Errorf("list the events: %w", err)
	}
	pins := map[onsale.EventID][]onsale.HoldID{}
	for _, event := range events {
		ids, err := r.cfg.Desk.Pins(ctx, event, before.UnixMilli(), recoverMost)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			pins[event] = ids
		}
	}
	if len(pins) == 0 {
		return nil
	}
	// Read after the pins: a purchase of theirs that is in Kafka is in Postgres then.
	if err := r.cfg.Drained(ctx); err != nil {
		return fmt.Errorf("wait for the purchases in Kafka: %w", err)
	}
	for event, ids := range pins {
		if err := r.settle(ctx, event, ids); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recovery) settle(ctx context.Context, event onsale.EventID, ids []onsale.HoldID) error {
	orders := make([]onsale.OrderID, len(ids))
	for i, id := range ids {
		orders[i] = id.Order()
	}
	states, err := r.cfg.States(ctx, orders)
	if err != nil {
		return fmt.Errorf("read the orders of pins: %w", err)
	}
	var settlements []holds.Settlement
	epoch := onsale.Epoch(0)
	for i, id := range ids {
		state, exists := states[orders[i]]
		if exists && !state.Final() {
			continue // being decided
		}
		_, issued, _ := id.Parse()
		epoch = max(epoch, issued)
		settlements = append(settlements, holds.Settlement{Hold: id, Sold: state == onsale.OrderTicketed})
		r.cfg.Log.Warn("a pin was left behind; it is settled", "hold", id, "order exists", exists, "state", state)
	}
	if len(settlements) == 0 {
		return nil
	}
	return r.cfg.Desk.Settle(ctx, event, epoch, settlements)
}
