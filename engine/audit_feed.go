package engine

// What the auditor looks at for invariant 7. A view of Redis is of one sequence number,
// and by the time it is here the mirror has gone on; so the auditor records what the
// mirror tells its listeners, and folds that up to the very number of the view, as a
// browser would.

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"onsale"
	"onsale/realtime"
)

const (
	// feedPatience is how long a mirror may be behind the view: longer than it takes
	// to notice by itself that it has missed something.
	feedPatience = 5 * time.Second
	// tapeLength is how many deltas are recorded between two readings of Redis. An
	// event that changes more in that time is not compared.
	tapeLength = 20_000
)

// tape is what a mirror has told since it was rewound.
type tape struct {
	heard chan struct{} // holds a token when there is more than before

	mu     sync.Mutex
	begin  *onsale.Stock  // under mu: the stock before the first delta; nil until it is known
	deltas []onsale.Delta // under mu: in order
}

// follow begins to record what this process's mirror tells of an event. The tape is
// nil if there are no mirrors.
func (a *Auditor) follow(ctx context.Context, l *onsale.Layout) (t *tape, stop func(), err error) {
	if a.Mirrors == nil {
		return nil, func() {}, nil
	}
	t = &tape{heard: make(chan struct{}, 1)}
	stop, err = a.Mirrors.Watch(ctx, l, t)
	return t, stop, err
}

// Reset implements holds.Listener.
func (t *tape) Reset(stock *onsale.Stock) {
	t.mu.Lock()
	t.begin, t.deltas = stock.Clone(), nil
	t.mu.Unlock()
	t.wake()
}

// Delta implements holds.Listener.
func (t *tape) Delta(d *onsale.Delta) {
	kept := *d
	kept.Counts, kept.Seats = maps.Clone(d.Counts), slices.Clone(d.Seats)
	t.mu.Lock()
	if len(t.deltas) == tapeLength {
		t.fold()
	}
	t.deltas = append(t.deltas, kept)
	t.mu.Unlock()
	t.wake()
}

func (t *tape) wake() {
	select {
	case t.heard <- struct{}{}:
	default: // a token is there already
	}
}

// rewind forgets how the stock came to be what it is now.
func (t *tape) rewind() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fold()
}

// fold makes the deltas part of the beginning. The caller has mu.
func (t *tape) fold() {
	for i := range t.deltas {
		t.begin.Apply(&t.deltas[i])
	}
	t.deltas = nil
}

// at returns the stock as it was at a sequence number, or as far as it has come; nil
// if nothing is known. gone says that the tape begins later.
func (t *tape) at(epoch onsale.Epoch, seq uint64) (stock *onsale.Stock, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begin == nil {
		return nil, false
	}
	if t.begin.Epoch > epoch || t.begin.Epoch == epoch && t.begin.Seq > seq {
		return nil, true
	}
	stock = t.begin.Clone()
	for i := range t.deltas {
		if stock.Epoch != epoch || stock.Seq == seq {
			break
		}
		stock.Apply(&t.deltas[i])
	}
	return stock, false
}

// brought returns the feed as it was when Redis was viewed, or as far as it came in
// feedPatience; nil, and why, if it can't be compared.
func (t *tape) brought(ctx context.Context, l *onsale.Layout, view *onsale.Stock) (feed *onsale.FeedSnapshot, why string) {
	if t == nil {
		return nil, "no feed is followed in this process"
	}
	patience := time.NewTimer(feedPatience)
	defer patience.Stop()
	for {
		stock, gone := t.at(view.Epoch, view.Seq)
		if gone {
			return nil, "the event changed faster than its feed could be compared with Redis"
		}
		if stock != nil && stock.Epoch == view.Epoch && stock.Seq == view.Seq && stock.Sale != onsale.SaleRecovering {
			return realtime.Snapshot(l, stock), ""
		}
		select {
		case <-t.heard:
			continue
		case <-ctx.Done(): // the audit fails for the same reason
		case <-patience.C:
		}
		if stock == nil {
			return &onsale.FeedSnapshot{Event: l.Event.ID}, "" // left behind before it began
		}
		return realtime.Snapshot(l, stock), ""
	}
}
