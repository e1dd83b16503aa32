package persist

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"onsale"
)

// checkTickets is invariant 5 for what the buyer gets: the tickets of an order are one
// an admission, of its seats, numbered from 1, none before it is ticketed; and the
// code of each is what a gate takes for exactly that ticket.
func checkTickets(b *books, f *findings) {
	for _, o := range b.orders {
		checkTicketsOf(b, f, o)
	}
	for _, id := range slices.Sorted(maps.Keys(b.tickets)) {
		if b.byID[id] == nil {
			f.add(onsale.InvariantKeys, "order "+string(id), "it has tickets and does not exist", id)
		}
	}
}

func checkTicketsOf(b *books, f *findings, o *onsale.Order) {
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
		return
	}
	for i := range tickets {
		checkCode(b, f, &tickets[i])
	}
}

// checkCode does what a gate does with a ticket's code.
func checkCode(b *books, f *findings, t *onsale.Ticket) {
	read, ok := onsale.VerifyCode(b.public, t.Code)
	switch {
	case !ok:
		f.add(onsale.InvariantKeys, "ticket "+string(t.ID), "its code is not signed with the key of this installation's secret: no gate would take it", t.Order)
	case read.ID != t.ID || read.Event != t.Event || read.Section != t.Section || read.Seat != t.Seat:
		f.add(onsale.InvariantKeys, "ticket "+string(t.ID), fmt.Sprintf("it is for %s, and its code says %s", showTicket(t), showTicket(&read)), t.Order)
	}
}

func showTicket(t *onsale.Ticket) string {
	return strings.TrimSpace(fmt.Sprintf("%s, %s, %s %s", t.ID, t.Event, t.Section, t.Seat))
}
