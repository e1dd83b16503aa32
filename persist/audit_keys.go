package persist

import (
	"fmt"

	"onsale"
)

// checkKeys is invariant 5: one idempotency key, one effect, one stable answer. A
// key names one hold, a hold one order, an order one payment and one ticket an
// admission; so whatever is repeated, there is one of each, and they agree. The
// tickets are checkTickets's.
func checkKeys(b *books, f *findings) {
	checkHoldsMatchOrders(b, f)
	checkBoughtOnce(b, f)
	for _, o := range b.orders {
		settled := 0
		for _, p := range b.payments[o.ID] {
			if p.state == paymentSettled {
				settled++
			}
		}
		if settled > 1 {
			f.add(onsale.InvariantKeys, "order "+string(o.ID), fmt.Sprintf("%d payments settle it", settled), o.ID)
		}
	}
}

// checkBoughtOnce finds keys that bought twice. Orders of one key have ids that differ
// in nothing but the epoch; after Redis was lost the key may ask again, and what it
// bought before must be found.
func checkBoughtOnce(b *books, f *findings) {
	first := map[onsale.HoldID]*onsale.Order{}
	for _, o := range b.orders {
		if !o.State.HasClaim() {
			continue
		}
		key := o.Hold.In(1)
		switch earlier := first[key]; {
		case earlier == nil:
			first[key] = o
		case earlier.Buyer == o.Buyer:
			f.add(onsale.InvariantKeys, "order "+string(o.ID), fmt.Sprintf("its idempotency key has bought before: order %s is %s",
				earlier.ID, earlier.State), earlier.ID, o.ID)
		}
	}
}

func checkHoldsMatchOrders(b *books, f *findings) {
	seen := map[onsale.HoldID]bool{}
	for _, h := range b.held {
		if seen[h.ID] {
			f.add(onsale.InvariantKeys, "hold "+string(h.ID), "Redis has it twice", h.ID.Order())
			continue
		}
		seen[h.ID] = true
		o := b.byID[h.ID.Order()]
		if o == nil || h.Unreadable != "" {
			continue
		}
		if h.Buyer == o.Buyer && b.isLessRefunds(h, o) {
			continue
		}
		if h.Buyer != o.Buyer || h.Amount != o.Amount || !sameLines(h.Lines, o.Lines) {
			f.add(onsale.InvariantKeys, "hold "+string(h.ID), fmt.Sprintf("%s holds %s for %d; the order is of %s, %s for %d",
				h.Buyer, showLines(h.Lines), h.Amount, o.Buyer, showLines(o.Lines), o.Amount), o.ID)
		}
	}
}
