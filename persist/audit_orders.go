package persist

import (
	"fmt"
	"time"

	"onsale"
)

// orphanAllowance is how long after a pin recovery has settled it for certain:
// when it may, and a sweep more.
const orphanAllowance = onsale.OrphanAge + 30*time.Second

// checkOrders is invariant 4: each 202 ends: ticketed, rejected, declined or
// refunded. Only when nothing is under way can what is open be told from what is
// forgotten.
func checkOrders(b *books, f *findings) {
	if !b.in.Quiet {
		return
	}
	for _, o := range b.orders {
		if !o.State.Final() {
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
		if h.State == onsale.HoldPinned && b.byID[h.ID.Order()] == nil && b.in.View.Stock.At.Sub(h.PinnedAt) > orphanAllowance {
			f.add(onsale.InvariantOrders, "hold "+string(h.ID), "it is pinned, and no order of it was ever recorded", h.ID.Order())
		}
	}
}
