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
	align   func(context.Context, *onsale.Layout, onsale.Sale) // nil: see AlignWith

	mu      sync.RWMutex
	layouts map[onsale.EventID]*onsale.Layout // under mu
	inOrder []*onsale.Layout                  // under mu, as the store lists them

	sales    map[onsale.EventID]onsale.Sale // under mu: what Postgres said last
	differed map[onsale.EventID]bool        // under mu: whose sale Redis had otherwise then
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
		lifecycle.Every(ctx, catalogRefresh, func(ctx context.Context) {
			if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("events not read; the known ones stay", "error", err)
			}
		})
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
	c.sales = make(map[onsale.EventID]onsale.Sale, len(events))
	var fresh []*onsale.Layout
	for _, e := range events {
		l := c.layouts[e.ID]
		if l == nil { // an event never changes, but for its sale and epoch, which the mirror knows
			l = onsale.NewLayout(e)
			c.layouts[e.ID] = l
			fresh = append(fresh, l)
		}
		c.inOrder = append(c.inOrder, l)
		c.sales[e.ID] = e.Sale
	}
	inOrder := c.inOrder
	c.mu.Unlock()
	if c.mirrors != nil {
		for _, l := range fresh {
			c.mirrors.View(l, func(*onsale.Stock) {}) // begins to mirror it
		}
		c.compare(ctx, events, inOrder)
	}
	return nil
}

// AlignWith has the catalog call align for a sale that Redis has otherwise than
// Postgres in two readings on end. To be called before Start.
func (c *Catalog) AlignWith(align func(context.Context, *onsale.Layout, onsale.Sale)) {
	c.align = align
}

// compare looks for sales that Redis has otherwise than Postgres.
func (c *Catalog) compare(ctx context.Context, events []*onsale.Event, layouts []*onsale.Layout) {
	if c.align == nil {
		return
	}
	c.mu.RLock()
	before := c.differed
	c.mu.RUnlock()
	differ := map[onsale.EventID]bool{}
	for i, e := range events {
		if c.mirrors.SaleIs(layouts[i], e.Sale) {
			continue
		}
		differ[e.ID] = true
		if before[e.ID] {
			c.align(ctx, layouts[i], e.Sale)
		}
	}
	c.mu.Lock()
	c.differed = differ
	c.mu.Unlock()
}

// Layout returns a known event's layout, or refuses with unknown_event.
func (c *Catalog) Layout(_ context.Context, id onsale.EventID) (*onsale.Layout, error) {
	if l := c.Known(id); l != nil {
		return l, nil
	}
	return nil, onsale.Refuse(onsale.CodeUnknownEvent, "no such event; GET /v1/events lists them")
}

// Known returns a known event's layout, else nil.
func (c *Catalog) Known(id onsale.EventID) *onsale.Layout {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.layouts[id]
}

// All returns every event's layout, in the store's order.
func (c *Catalog) All() []*onsale.Layout {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.inOrder
}

// Public returns the layouts of the events that are not drafts. A draft is not
// listed, but whoever has its id can see and watch it: a crowd gathers before the doors.
func (c *Catalog) Public() []*onsale.Layout {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var public []*onsale.Layout
	for _, l := range c.inOrder {
		if c.sales[l.Event.ID] != onsale.SaleDraft {
			public = append(public, l)
		}
	}
	return public
}
