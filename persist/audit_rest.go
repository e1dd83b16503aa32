package persist

import (
	"fmt"

	"onsale"
)

// checkRest is what invariant 6 means once nothing is under way: Redis sells nothing
// that Postgres has given to someone, and keeps nothing from sale that Postgres has
// given to nobody. Sold in Redis is ticketed in Postgres, seat by seat, no hold is
// owed, or pinned for an order that has ended, and the sale is what Postgres says.
func checkRest(b *books, f *findings) {
	view := b.in.View
	if view == nil || !b.in.settled() || len(view.Stock.Counts) != len(b.layout.Sections()) {
		return
	}
	if want := b.layout.Event.Sale; view.Stock.Sale != want {
		f.add(onsale.InvariantHolds, "event "+string(b.in.Event), fmt.Sprintf("its sale is %s in Redis, and %s in Postgres", view.Stock.Sale, want))
	}
	late := map[onsale.OrderID]bool{} // ticketed, and their hold does not know: said once, not seat by seat
	for _, h := range b.held {
		o := b.byID[h.ID.Order()]
		switch {
		case h.Owed:
			late[h.ID.Order()] = true
			f.add(onsale.InvariantHolds, "hold "+string(h.ID), "it is sold, and another hold still has what it was of", h.ID.Order())
		case h.State == onsale.HoldPinned && o != nil && o.State.Final():
			late[o.ID] = true
			f.add(onsale.InvariantHolds, "hold "+string(h.ID), fmt.Sprintf("it is still pinned, and its order is %s", o.State), o.ID)
		}
	}
	for i, s := range b.layout.Sections() {
		if s.Kind == onsale.General {
			compareSold(b, f, s, view.Stock.Counts[i].Sold, late)
		} else {
			compareSeats(b, f, s, late)
		}
	}
}

// compareSold compares how much of a general section is sold.
func compareSold(b *books, f *findings, s *onsale.SectionLayout, sold int64, late map[onsale.OrderID]bool) {
	var ticketed int64
	for _, c := range b.claims {
		if o := b.byID[c.order]; c.section == s.ID && o != nil && o.State == onsale.OrderTicketed && !late[o.ID] {
			ticketed += int64(c.quantity)
		}
	}
	if sold != ticketed {
		f.add(onsale.InvariantHolds, "section "+s.ID, fmt.Sprintf("Redis has sold %d, Postgres has ticketed %d", sold, ticketed))
	}
}

// compareSeats compares a reserved section seat by seat.
func compareSeats(b *books, f *findings, s *onsale.SectionLayout, late map[onsale.OrderID]bool) {
	seats := b.in.View.Stock.Seats
	owner := map[int]onsale.OrderID{}
	for _, c := range b.claims {
		if o := b.byID[c.order]; c.section == s.ID && o != nil && o.State == onsale.OrderTicketed {
			if at, ok := s.Offset(c.seat); ok {
				owner[at] = c.order
			}
		}
	}
	for at := s.Start; at < min(s.End, len(seats)); at++ {
		order, ticketed := owner[at]
		switch sold := seats[at] == onsale.SeatSold; {
		case sold && !ticketed:
			f.add(onsale.InvariantHolds, nameSeat(s.ID, s.Seat(at)), "it is sold in Redis, and Postgres has no ticketed order for it")
		case ticketed && !sold && !late[order]:
			f.add(onsale.InvariantHolds, nameSeat(s.ID, s.Seat(at)), fmt.Sprintf("it is %q in Redis, and ticketed to %s in Postgres", seats[at], order), order)
		}
	}
}
