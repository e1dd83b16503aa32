package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/lifecycle"
	"onsale/persist"
)

const (
	// catalogRefresh is how often the list of events is read from Postgres: how
	// long another process's new event may stay unknown here.
	catalogRefresh = time.Second
	// catalogTimeout bounds one reading.
	catalogTimeout = 10 * time.Second
)

// Catalog knows the events: from memory, so that no request waits for Postgres to
// learn what an event is, and so that asking for events that don't exist costs
// nothing. What an event's sale is doing is Redis's to say, and so the mirrors'.
type Catalog struct {
	store   *persist.Store
	mirrors *holds.Mirrors
	log     *slog.Logger
	group   lifecycle.Group

	mu      sync.RWMutex
	layouts map[onsale.EventID]*onsale.Layout // under mu
	inOrder []*onsale.Layout                  // under mu, as the store lists them
}

// NewCatalog returns a catalog. With mirrors it begins to mirror every event as
// soon as it knows it.
func NewCatalog(store *persist.Store, mirrors *holds.Mirrors, log *slog.Logger) *Catalog {
	return &Catalog{store: store, mirrors: mirrors, log: log, layouts: map[onsale.EventID]*onsale.Layout{}}
}

// Start reads the events once, and again every catalogRefresh.
func (c *Catalog) Start(ctx context.Context) error {
	if err := c.Refresh(ctx); err != nil {
		return err
	}
	c.group.Go(ctx, func(ctx context.Context) {
		tick := time.NewTicker(catalogRefresh)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
					c.log.Warn("events not read; the known ones stay", "error", err)
				}
			}
		}
	})
	return nil
}

// Stop ends the refreshing.
func (c *Catalog) Stop(ctx context.Context) error { return c.group.Stop(ctx) }

// Refresh reads the events from Postgres.
func (c *Catalog) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catalogTimeout)
	defer cancel()
	events, err := c.store.Events(ctx)
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	c.mu.Lock()
	c.inOrder = c.inOrder[:0:0]
	var fresh []*onsale.Layout
	for _, e := range events {
		l := c.layouts[e.ID]
		if l == nil { // an event never changes, but for its sale and epoch, which the mirror knows
			l = onsale.NewLayout(e)
			c.layouts[e.ID] = l
			fresh = append(fresh, l)
		}
		c.inOrder = append(c.inOrder, l)
	}
	c.mu.Unlock()
	for _, l := range fresh {
		if c.mirrors != nil {
			c.mirrors.View(l, func(*onsale.Stock) {})
		}
	}
	return nil
}

// Layout returns a known event's layout, or refuses with unknown_event.
func (c *Catalog) Layout(_ context.Context, id onsale.EventID) (*onsale.Layout, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if l := c.layouts[id]; l != nil {
		return l, nil
	}
	return nil, onsale.Refuse(onsale.CodeUnknownEvent, "no such event; GET /v1/events lists them")
}

// All returns every event's layout, in the store's order.
func (c *Catalog) All() []*onsale.Layout {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.inOrder
}

// IDs returns every event's id.
func (c *Catalog) IDs(context.Context) ([]onsale.EventID, error) {
	all := c.All()
	ids := make([]onsale.EventID, len(all))
	for i, l := range all {
		ids[i] = l.Event.ID
	}
	return ids, nil
}
