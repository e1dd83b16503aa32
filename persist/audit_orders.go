package persist

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"onsale"
)

// orphanAllowance is how long after a pin recovery has settled it for certain:
// when it may, and a sweep more.
const orphanAllowance = onsale.OrphanAge + 30*time.Second

// checkOrders is invariant 4: each 202 ends: ticketed, rejected, declined or
// refunded. Only when nothing is under way can what is open be told from what is
// forgotten; but what a stage has given up is lost at any time.
func checkOrders(b *books, f *findings) {
	checkDead(b, f)
	if !b.in.settled() {
		return
	}
	for _, o := range b.orders {
		if !o.State.Final() && b.dead[o.ID] == nil {
			f.report.LostOrders++
			f.add(onsale.InvariantOrders, "order "+string(o.ID), fmt.Sprintf("nothing is under way, and it is still %s since %s",
				o.State, stamp(o.UpdatedAt)), o.ID)
		}
	}
	if n := b.in.Unsettled; n > 0 {
		f.report.LostOrders += n
		f.add(onsale.InvariantOrders, "topic "+onsale.TopicPurchases, fmt.Sprintf("%d accepted purchases were never claimed or rejected", n))
	}
	for _, h := range b.held {
		if b.isOrphan(h) && b.isForgotten(h) {
			f.add(onsale.InvariantOrders, "hold "+string(h.ID), "it is pinned, and no order of it was ever recorded", h.ID.Order())
		}
	}
}

// isOrphan reports whether a hold is pinned and there is no order of it. checkHolds
// speaks of those that recovery can't find.
func (b *books) isOrphan(h *onsale.HeldRecord) bool {
	id := h.ID.Order()
	return h.State == onsale.HoldPinned && !h.PinnedAt.IsZero() && b.byID[id] == nil && b.dead[id] == nil
}

// isForgotten reports whether recovery has had the time to look into a pinned hold.
func (b *books) isForgotten(h *onsale.HeldRecord) bool {
	return b.in.View.Stock.At.Sub(h.PinnedAt) > orphanAllowance
}

// checkDead finds the orders that a stage has given up before they came to an end:
// no stage takes a dead letter any further by itself. One of an order that has
// ended is of no consequence to its buyer: a repeat, or an answer too late.
func checkDead(b *books, f *findings) {
	for _, id := range slices.Sorted(maps.Keys(b.dead)) {
		letters, o := b.dead[id], b.byID[id]
		last := letters[len(letters)-1]
		switch {
		case id == "":
			f.report.LostOrders += int64(len(letters))
			f.add(onsale.InvariantOrders, "topic "+last.Topic, fmt.Sprintf("%d dead letters don't say which order they are of", len(letters)), id)
		case o == nil:
			f.report.LostOrders++
			f.add(onsale.InvariantOrders, "order "+string(id), "it is a dead letter of "+last.Topic+", and the book has no such order", id)
		case !o.State.Final():
			f.report.LostOrders++
			f.add(onsale.InvariantOrders, "order "+string(id), "it is a dead letter of "+last.Topic+", and still "+string(o.State), id)
		}
	}
}
