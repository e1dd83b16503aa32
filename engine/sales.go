package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
	"onsale/persist"
)

const (
	// relayTimeout bounds one laying of an event's stock, the wait for Kafka included.
	relayTimeout = 2 * time.Minute
	// takeOverAfter is how long stock may be "recovering" in another process's hands
	// before this one begins anew: that process may be dead.
	takeOverAfter = 30 * time.Second
)

// Sales creates events, opens and closes their sales, and lays their stock in
// Redis: at first, and again whenever Redis has lost it.
//
// Laying stock, in this order, so that it can't oversell:
//
//  1. the epoch is raised in Postgres, which gives each attempt a number of its own;
//  2. Redis is emptied and refuses everything, in that epoch: nothing new is pinned;
//  3. every purchase in Kafka is claimed or rejected: what was accepted is in Postgres;
//  4. the live claims are read from Postgres, and stock laid around them;
//  5. the sale goes on.
//
// A crash between any two leaves Redis refusing, and another process begins anew
// with a higher epoch. Two at once: the higher epoch wins, the other's steps are
// refused.
type Sales struct {
	Store  *persist.Store
	Desk   *holds.Desk
	Broker kafka.Broker
	Log    *slog.Logger

	group lifecycle.Group

	mu     sync.Mutex
	laying map[onsale.EventID]bool      // under mu: this process is at it
	amiss  map[onsale.EventID]time.Time // under mu: since when it was seen recovering
}

// Start implements lifecycle.Part.
func (s *Sales) Start(context.Context) error { return nil }

// Stop ends what is being laid.
func (s *Sales) Stop(ctx context.Context) error { return s.group.Stop(ctx) }

// Create keeps a new event and lays its stock. Creating the same event again is no
// error. Errors: event_exists.
func (s *Sales) Create(ctx context.Context, e *onsale.Event) (*onsale.Event, error) {
	created, err := s.Store.CreateEvent(ctx, e)
	if err != nil {
		return nil, err
	}
	_, err = s.Desk.Stock(ctx, onsale.NewLayout(created))
	if errors.Is(err, holds.ErrAbsent) {
		err = s.Lay(ctx, created.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("lay the stock of %s: %w", e.ID, err)
	}
	return created, nil
}

// Change opens, pauses or closes a sale: in Postgres first, then in Redis, which
// tells everyone. When Redis can't be told the error asks to try again; a repeat
// finds Postgres changed and tells Redis.
func (s *Sales) Change(ctx context.Context, id onsale.EventID, next onsale.Sale) (*onsale.Event, error) {
	e, err := s.Store.SetSale(ctx, id, next)
	if err != nil {
		return nil, err
	}
	err = s.Desk.SetSale(ctx, onsale.NewLayout(e), next)
	if errors.Is(err, holds.ErrAbsent) {
		err = s.Lay(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Amiss is told by mirrors, again and again, that Redis has no stock of an event,
// or has been recovering it. It lays the stock in the background.
func (s *Sales) Amiss(id onsale.EventID, recovering bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.laying == nil {
		s.laying, s.amiss = map[onsale.EventID]bool{}, map[onsale.EventID]time.Time{}
	}
	if s.laying[id] {
		return
	}
	if recovering {
		since, seen := s.amiss[id]
		if !seen || time.Since(since) > 2*takeOverAfter {
			s.amiss[id] = time.Now()
			return
		}
		if time.Since(since) < takeOverAfter {
			return
		}
	}
	delete(s.amiss, id)
	s.laying[id] = true
	s.group.Go(context.Background(), func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, relayTimeout)
		defer cancel()
		s.Log.Warn("redis has lost an event's stock; it is laid anew", "event", id)
		if err := s.Lay(ctx, id); err != nil && ctx.Err() == nil {
			s.Log.Error("stock not laid; it is tried again", "event", id, "error", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.laying, id)
	})
}

// Lay lays an event's stock in Redis from what Postgres and Kafka know.
func (s *Sales) Lay(ctx context.Context, id onsale.EventID) error {
	start := time.Now()
	epoch, err := s.Store.RaiseEpoch(ctx, id)
	if err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	e, err := s.Store.Event(ctx, id)
	if err != nil {
		return err
	}
	l := onsale.NewLayout(e)
	if err := s.Desk.BeginRebuild(ctx, l, epoch); err != nil {
		return err
	}
	if epoch > 1 { // before the first there were no purchases
		if err := kafka.Drained(ctx, s.Broker, persist.GroupClaim, onsale.TopicPurchases); err != nil {
			return fmt.Errorf("wait for the purchases in Kafka: %w", err)
		}
	}
	view, err := s.Store.StockView(ctx, id)
	if err != nil {
		return err
	}
	kept := make([]holds.Kept, len(view.Orders))
	for i, o := range view.Orders {
		kept[i] = holds.Kept{Hold: o.Hold, Buyer: o.Buyer, Sold: o.State == onsale.OrderTicketed, Lines: o.Lines}
	}
	if err := s.Desk.FinishRebuild(ctx, l, epoch, view.Event.Sale, kept); err != nil {
		return err
	}
	s.Log.Info("stock laid", "event", id, "epoch", epoch, "kept", len(kept), "took", time.Since(start))
	return nil
}
