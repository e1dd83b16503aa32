package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"onsale"
	"onsale/internal/feedclient"
)

// feedCheckEvery is the pause between two looks.
const feedCheckEvery = 200 * time.Millisecond

// checkFeeds sees that every feed shows exactly what the server shows (invariant 7).
// Views can be compared at the same sequence only, and stock still moves while holds
// expire or others buy, so it looks again until each feed was met at the server's own
// sequence once. A feed that is behind where the server was at the first look is stuck,
// and that is a violation; one that was always ahead of the look just couldn't be met.
func (r *rush) checkFeeds(ctx context.Context) error {
	r.mu.Lock()
	left := slices.DeleteFunc(slices.Clone(r.watches), func(w *watch) bool { return w.view() == nil })
	r.mu.Unlock()
	r.m.feedsToCheck.Store(int64(len(left)))
	deadline := time.Now().Add(r.cfg.FeedTimeout)
	var first *onsale.FeedSnapshot
	for len(left) > 0 && time.Now().Before(deadline) {
		server := new(onsale.FeedSnapshot)
		if err := r.availability(ctx, server); err != nil {
			return err
		}
		if first == nil {
			first = server
		}
		left = slices.DeleteFunc(left, func(w *watch) bool { return r.meet(w.view(), server) })
		if len(left) > 0 && !waitUntil(ctx, time.Now().Add(feedCheckEvery)) {
			return ctx.Err()
		}
	}
	if err := r.crew.checkFeeds(ctx, r.ledger); err != nil {
		return err
	}
	for _, w := range left {
		view := w.view()
		if behind(view, first) {
			r.ledger.violate(onsale.InvariantFeed, "a feed", "is at epoch %d seq %d, %v after the server was at epoch %d seq %d (%v)",
				view.Epoch, view.Seq, r.cfg.FeedTimeout, first.Epoch, first.Seq, w.lastError())
		}
	}
	return nil
}

// availability reads what the server shows now.
func (r *rush) availability(ctx context.Context, into *onsale.FeedSnapshot) error {
	if err := r.admin(ctx, "GET", "/v1/events/"+string(r.layout.Event.ID)+"/availability", nil, into); err != nil {
		return fmt.Errorf("reading the availability: %w", err)
	}
	return nil
}

// meet compares a feed's view with the server's if they are at the same sequence.
func (r *rush) meet(view, server *onsale.FeedSnapshot) bool {
	if view.Epoch != server.Epoch || view.Seq != server.Seq {
		return false
	}
	r.m.feedsChecked.Add(1)
	at := "the feed at " + strconv.FormatUint(view.Seq, 10)
	if err := feedclient.Differ(view, server); err != nil {
		r.ledger.violate(onsale.InvariantFeed, at, "%v", err)
	}
	if err := feedclient.Check(view); err != nil {
		r.ledger.violate(onsale.InvariantCounts, at, "%v", err)
	}
	return true
}

// behind reports whether a view is older than another.
func behind(view, other *onsale.FeedSnapshot) bool {
	return view.Epoch < other.Epoch || view.Epoch == other.Epoch && view.Seq < other.Seq
}
