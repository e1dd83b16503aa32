package persist

import (
	"fmt"
	"maps"
	"slices"

	"onsale"
)

// checkKeys is invariant 5: one idempotency key, one effect, one stable answer. A
// key names one hold, a hold one order, an order one payment and one ticket an
// admission; so whatever is repeated, there is one of each, and they agree.
func checkKeys(b *books, f *findings) {
	checkHoldsMatchOrders(b, f)
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
		checkTickets(b, f, o)
	}
	for _, id := range slices.Sorted(maps.Keys(b.tickets)) {
		if b.byID[id] == nil {
			f.add(onsale.InvariantKeys, "order "+string(id), "it has tickets and does not exist", id)
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
		if o == nil {
			continue
		}
		if h.Buyer != o.Buyer || h.Amount != o.Amount || !sameLines(h.Lines, o.Lines) {
			f.add(onsale.InvariantKeys, "hold "+string(h.ID), fmt.Sprintf("%s holds %s for %d; the order is of %s, %s for %d",
				h.Buyer, showLines(h.Lines), h.Amount, o.Buyer, showLines(o.Lines), o.Amount), o.ID)
		}
	}
}

// checkTickets holds the tickets to the order: one an admission, of its seats,
// numbered from 1; none before it is ticketed.
func checkTickets(b *books, f *findings, o *onsale.Order) {
	tickets := b.tickets[o.ID]
	if o.State != onsale.OrderTicketed && o.State != onsale.OrderRefunded {
		if len(tickets) > 0 {
			f.add(onsale.InvariantKeys, "order "+string(o.ID), fmt.Sprintf("it is %s and has %d tickets", o.State, len(tickets)), o.ID)
		}
		return
	}
	var issued []onsale.Line
	bySection := map[string]int{}
	numbered := true
	for i, t := range tickets {
		numbered = numbered && t.ID == o.ID.Ticket(i+1)
		at, ok := bySection[t.Section]
		if !ok {
			at = len(issued)
			bySection[t.Section] = at
			issued = append(issued, onsale.Line{Section: t.Section})
		}
		issued[at].Quantity++
		if t.Seat != "" {
			issued[at].Seats = append(issued[at].Seats, t.Seat)
		}
	}
	if !numbered || !sameLines(issued, o.Lines) {
		f.add(onsale.InvariantKeys, "order "+string(o.ID), fmt.Sprintf("it is of %s, and its tickets are of %s",
			showLines(o.Lines), showLines(issued)), o.ID)
	}
}
