package persist

import (
	"cmp"
	"fmt"
	"strings"

	"onsale"
)

// noteUnchecked says what the checks had nothing to look at for. An audit that found
// nothing is worth as much as what it looked at.
func noteUnchecked(b *books, f *findings) {
	if b.in.View == nil {
		reason := cmp.Or(b.in.NoView, "Redis was not read")
		f.skip(onsale.InvariantCounts, reason)
		f.skip(onsale.InvariantHolds, reason)
		f.skip(onsale.InvariantFeed, reason)
	} else if b.in.Feed == nil {
		f.skip(onsale.InvariantFeed, cmp.Or(b.in.NoFeed, "no feed was followed"))
	}
	if v := b.in.View; v != nil && v.InFlux > 0 {
		reason := fmt.Sprintf("%d holds changed while they were read, and were not judged, nor what all holds add up to", v.InFlux)
		f.skip(onsale.InvariantCounts, reason)
		f.skip(onsale.InvariantHolds, reason)
	}
	if b.ledger == nil {
		f.skip(onsale.InvariantCharges, "only the book's side: the payment provider's ledger was not read")
	}
	noteDueRefunds(b, f)
	if b.in.settled() {
		noteYoungPins(b, f)
		return
	}
	under := b.underWay()
	f.skip(onsale.InvariantOrders, "what is forgotten can't be told from what is under way: "+under)
	if b.in.View != nil {
		f.skip(onsale.InvariantHolds, "Redis was not compared with Postgres: "+under)
	}
}

// underWay says what keeps the event from rest, as far as the books show it.
func (b *books) underWay() string {
	var open, pinned int64
	for _, o := range b.orders {
		if !o.State.Final() {
			open++
		}
	}
	if b.in.View != nil {
		for _, c := range b.in.View.Stock.Counts {
			pinned += c.Pinned
		}
	}
	var parts []string
	for _, part := range []struct {
		n    int64
		what string
	}{{b.in.Unsettled, "purchases in Kafka"}, {open, "orders open"}, {pinned, "admissions pinned"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "the event was not at rest")
}

// noteYoungPins counts the pins without an order that recovery has not had the time
// to look into: their purchase may still be on its way.
func noteYoungPins(b *books, f *findings) {
	young := 0
	for _, h := range b.held {
		if b.isOrphan(h) && !b.isForgotten(h) {
			young++
		}
	}
	if young > 0 {
		f.skip(onsale.InvariantOrders, fmt.Sprintf("%d holds are pinned and have no order yet, for less than the %v after which it would be missing",
			young, orphanAllowance))
	}
}
