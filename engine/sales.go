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
	// layPause is how long to wait before an attempt that failed, or is another
	// process's, is looked at again; it doubles with each failure on end, up to
	// maxLayPause: each attempt raises the epoch and reads all claims.
	layPause    = 200 * time.Millisecond
	maxLayPause = 2 * time.Second
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
// refused, and it waits. Stock that was laid in an earlier run of Redis is never
// trusted, however whole it looks: a restart or a failover may have lost the end. Of a
// striped event each step is a step of all stripes: it is whole only if they all are.
type Sales struct {
	cfg   SalesConfig
	group lifecycle.Group

	mu     sync.Mutex
	laying map[onsale.EventID]*laying // under mu: what this process is at
}

// SalesConfig says what a Sales works with. All are required.
type SalesConfig struct {
	Store  *persist.Store
	Desk   *holds.Desk
	Broker kafka.Broker
	Log    *slog.Logger
}

// NewSales returns a Sales.
func NewSales(cfg SalesConfig) *Sales {
	return &Sales{cfg: cfg, laying: map[onsale.EventID]*laying{}}
}

// Start implements lifecycle.Part.
func (s *Sales) Start(context.Context) error { return nil }

// Stop ends what is being laid.
func (s *Sales) Stop(ctx context.Context) error { return s.group.Stop(ctx) }

// Create keeps a new event and lays its stock. Creating the same event again is no
// error. Errors: event_exists.
func (s *Sales) Create(ctx context.Context, e *onsale.Event) (*onsale.Event, error) {
	created, err := s.cfg.Store.CreateEvent(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := s.Lay(ctx, created.ID); err != nil {
		return nil, err
	}
	return s.cfg.Store.Event(ctx, created.ID) // with its epoch
}

// Change opens, pauses or closes a sale: in Postgres first, then in Redis, which
// tells everyone. When Redis can't be told the error asks to try again; a repeat
// finds Postgres changed and tells Redis.
func (s *Sales) Change(ctx context.Context, id onsale.EventID, next onsale.Sale) (*onsale.Event, error) {
	e, err := s.cfg.Store.SetSale(ctx, id, next)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Desk.SetSale(ctx, onsale.NewLayout(e), next)
	if errors.Is(err, holds.ErrAbsent) {
		err = s.Lay(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Amiss is told by mirrors, again and again, that an event's stock in Redis is not
// whole. It is laid in the background.
func (s *Sales) Amiss(id onsale.EventID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.laying[id] == nil {
		s.begin(id)
	}
}

// Lay sees to it that an event's stock is whole, by laying it from what Postgres
// and Kafka know if need be. It returns nil when it is, whoever has laid it.
func (s *Sales) Lay(ctx context.Context, id onsale.EventID) error {
	s.mu.Lock()
	l := s.laying[id]
	if l == nil {
		l = s.begin(id)
	}
	s.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("lay the stock of %s: %w", id, ctx.Err())
	}
}

// laying is one laying of an event's stock, under way or just ended.
type laying struct {
	done chan struct{} // closed when it has ended
	err  error         // set before done is closed
}

// begin lays an event's stock in the background. The caller has mu.
func (s *Sales) begin(id onsale.EventID) *laying {
	l := &laying{done: make(chan struct{}), err: context.Canceled} // if Sales has stopped it never runs
	s.laying[id] = l
	started := s.group.Go(context.Background(), func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, relayTimeout)
		defer cancel()
		if l.err = s.untilWhole(ctx, id); l.err != nil && !errors.Is(ctx.Err(), context.Canceled) {
			s.cfg.Log.Error("stock not laid; it is tried again", "event", id, "error", l.err)
		}
		s.mu.Lock()
		delete(s.laying, id)
		s.mu.Unlock()
		close(l.done)
	})
	if !started {
		delete(s.laying, id)
		close(l.done)
	}
	return l
}

// untilWhole lays the stock, or waits for who is laying it, until it is whole. A
// laying that has not ended in takeOverAfter is taken over: its process may be dead.
func (s *Sales) untilWhole(ctx context.Context, id onsale.EventID) error {
	var theirs onsale.Epoch // of another process's laying
	var since time.Time
	for wait := layPause; ; {
		c, err := s.cfg.Desk.Condition(ctx, id)
		if err == nil && c.Whole() {
			return nil
		}
		if err == nil && c.Sale == onsale.SaleRecovering && c.SameRun && c.Epoch != theirs {
			theirs, since = c.Epoch, time.Now()
		}
		if err == nil && (c.Sale != onsale.SaleRecovering || !c.SameRun || time.Since(since) > takeOverAfter) {
			s.cfg.Log.Warn("stock is laid", "event", id, "absent", c.Absent, "same run", c.SameRun, "epoch", c.Epoch, "sale", c.Sale)
			err = s.lay(ctx, id)
			if onsale.CodeOf(err) == onsale.CodeUnknownEvent {
				return err
			}
			theirs, since = 0, time.Time{} // what is left recovering now is our own, and begun anew at once
			if err == nil || errors.Is(err, holds.ErrSuperseded) {
				continue
			}
			since = time.Now().Add(-takeOverAfter)
			if after, conditionErr := s.cfg.Desk.Condition(ctx, id); conditionErr == nil {
				theirs = after.Epoch
			}
		}
		if err != nil {
			s.cfg.Log.Warn("stock not laid yet", "event", id, "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lay the stock of %s: %w", id, errors.Join(ctx.Err(), err))
		case <-time.After(wait):
		}
		if err != nil {
			wait = min(2*wait, maxLayPause)
		}
	}
}

// lay lays an event's stock once; see Sales for the steps.
func (s *Sales) lay(ctx context.Context, id onsale.EventID) error {
	start := time.Now()
	epoch, err := s.cfg.Store.RaiseEpoch(ctx, id)
	if err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	e, err := s.cfg.Store.Event(ctx, id)
	if err != nil {
		return err
	}
	l := onsale.NewLayout(e)
	if err := s.cfg.Desk.BeginRebuild(ctx, l, epoch); err != nil {
		return err
	}
	if epoch > 1 { // before the first epoch nothing could be bought
		if err := kafka.Drained(ctx, s.cfg.Broker, persist.GroupClaim, onsale.TopicPurchases); err != nil {
			return fmt.Errorf("wait for the purchases in Kafka: %w", err)
		}
	}
	view, err := s.cfg.Store.StockView(ctx, id)
	if err != nil {
		return err
	}
	kept := make([]holds.Kept, 0, len(view.Orders)+len(view.Refunded))
	for _, o := range view.Orders {
		kept = append(kept, holds.Kept{Hold: o.Hold, Buyer: o.Buyer, Sold: o.State == onsale.OrderTicketed, Lines: o.Lines, AcceptedAt: o.AcceptedAt})
	}
	for _, o := range view.Refunded {
		kept = append(kept, holds.Kept{Hold: o.Hold, Buyer: o.Buyer, Refunded: true, Lines: o.Lines, AcceptedAt: o.AcceptedAt})
	}
	if err := s.cfg.Desk.FinishRebuild(ctx, l, epoch, view.Event.Sale, kept); err != nil {
		return err
	}
	s.cfg.Log.Info("stock laid", "event", id, "epoch", epoch, "kept", len(kept), "took", time.Since(start))
	return nil
}

// Align tells Redis what Postgres says the sale is doing, where a crash between the
// two, or two operators at once, have left it otherwise.
func (s *Sales) Align(ctx context.Context, l *onsale.Layout, sale onsale.Sale) {
	if err := s.cfg.Desk.SetSale(ctx, l, sale); err != nil {
		s.cfg.Log.Warn("the sale in Redis is not what Postgres says; it is set again soon", "event", l.Event.ID, "sale", sale, "error", err)
	}
}
