package persist

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// checkTickets is invariant 5 for what the buyer gets: the tickets of an order are one
// an admission, of its seats, numbered from 1, none before it is ticketed; which of them
// are void, checkRefunds knows. Each has one live code, that of
// its serial, which is the number of its transfers and one; is whose it was last
// transferred to; and is admitted by one check-in, or not.
func checkTickets(b *books, f *findings) {
	admitted := map[onsale.TicketID]*onsale.Checkin{}
	for i := range b.checkins {
		admitted[b.checkins[i].Ticket] = &b.checkins[i]
	}
	for _, o := range b.orders {
		if !checkIssued(b, f, o) {
			continue
		}
		for i := range b.tickets[o.ID] {
			t := &b.tickets[o.ID][i]
			checkOwner(b, f, o, t)
			checkAdmitted(f, t, admitted[t.ID])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.tickets)) {
		if b.byID[id] == nil {
			f.add(onsale.InvariantKeys, "order "+string(id), "it has tickets and does not exist", id)
		}
	}
}

// checkIssued holds an order's tickets to what it bought. It returns false if they are
// so wrong that there is no use in looking at each.
func checkIssued(b *books, f *findings, o *onsale.Order) bool {
	tickets := b.tickets[o.ID]
	if o.State != onsale.OrderTicketed && o.State != onsale.OrderRefunded {
		if len(tickets) > 0 {
			f.add(onsale.InvariantKeys, "order "+string(o.ID), fmt.Sprintf("it is %s and has %d tickets", o.State, len(tickets)), o.ID)
		}
		return false
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
		return false
	}
	return true
}

// checkOwner holds a ticket to its transfers.
func checkOwner(b *books, f *findings, o *onsale.Order, t *onsale.Ticket) {
	takers := b.takers[t.ID]
	owner := o.Buyer
	if len(takers) > 0 {
		owner = takers[len(takers)-1]
	}
	if t.Owner != owner || t.Serial != 1+len(takers) {
		f.add(onsale.InvariantKeys, "ticket "+string(t.ID), fmt.Sprintf("it is %s's with serial %d; by its %d transfers it is %s's with serial %d",
			t.Owner, t.Serial, len(takers), owner, 1+len(takers)), t.Order)
	}
}

// checkAdmitted holds a ticket to its check-in.
func checkAdmitted(f *findings, t *onsale.Ticket, c *onsale.Checkin) {
	switch {
	case t.AdmittedAt == nil && c == nil:
	case c == nil:
		f.add(onsale.InvariantKeys, "ticket "+string(t.ID), "it is admitted, and no gate has checked it in", t.Order)
	case t.AdmittedAt == nil:
		f.add(onsale.InvariantKeys, "ticket "+string(t.ID), "gate "+c.Gate+" has checked it in, and it can be used again", t.Order)
	case c.Serial != t.Serial || !c.At.Equal(*t.AdmittedAt):
		f.add(onsale.InvariantKeys, "ticket "+string(t.ID), fmt.Sprintf("it is admitted under serial %d at %s, and checked in under %d at %s",
			t.Serial, stamp(*t.AdmittedAt), c.Serial, stamp(c.At)), t.Order)
	}
}

const readTakers = `SELECT order_id, number, to_owner FROM transfers
	WHERE event = $1 AND state = 'accepted' ORDER BY order_id, number, serial`

func (b *books) collectTakers(rows pgx.Rows) error {
	var order onsale.OrderID
	var number int
	var taker onsale.BuyerID
	_, err := pgx.ForEachRow(rows, []any{&order, &number, &taker}, func() error {
		id := order.Ticket(number)
		b.takers[id] = append(b.takers[id], taker)
		return nil
	})
	return err
}
