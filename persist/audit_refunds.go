package persist

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// checkRefunds is the other half of invariant 3: an order that is called refunded has
// been paid back in full, by the provider's word if it can be had, else by the book's.
// What was refunded in part is that much less, in tickets and in money, in every store; a
// refund that is due is pending: neither is broken.
func checkRefunds(b *books, f *findings) {
	for _, id := range slices.Sorted(maps.Keys(b.payments)) {
		checkPaidBack(b, f, id)
	}
	for _, id := range slices.Sorted(maps.Keys(b.tickets)) {
		checkBarred(b, f, id)
	}
	for _, id := range slices.Sorted(maps.Keys(b.refunds)) {
		for _, r := range b.owedAgain(id) {
			f.add(onsale.InvariantCharges, "order "+string(id), fmt.Sprintf("its refund %s of %d %s was made and has failed since (%s), and nobody has had it paid back again",
				r.ID, r.Amount, r.Currency, r.Refusal), id)
		}
	}
	for _, o := range b.orders {
		if o.State != onsale.OrderRefunded || o.Amount == 0 {
			continue
		}
		var refunded int64
		if e := b.ledger[o.ID]; e != nil {
			refunded = e.Refunded
		}
		recorded := slices.ContainsFunc(b.payments[o.ID], func(p paymentRow) bool { return p.state == paymentRefunded })
		switch {
		case refunded >= o.Amount || len(b.owedAgain(o.ID)) > 0: // that is said above
		case b.ledger != nil && b.in.AtRest: // a ledger that was read before may lack what was refunded since
			f.add(onsale.InvariantCharges, "order "+string(o.ID), fmt.Sprintf("it is refunded, and the provider has paid back %d of %d %s",
				refunded, o.Amount, o.Currency), o.ID)
		case !recorded:
			f.add(onsale.InvariantCharges, "order "+string(o.ID), "it is refunded, and no refund of it is on record", o.ID)
		}
	}
}

// checkPaidBack holds an order's refunds to its payments, and to what the provider says.
func checkPaidBack(b *books, f *findings, id onsale.OrderID) {
	subject, captured := "order "+string(id), int64(0)
	var made, due int64
	for _, p := range b.payments[id] {
		m, d := b.paidBack(p)
		made, due, captured = made+m, due+d, captured+p.amount
		if p.payingBack != m+d {
			f.add(onsale.InvariantCharges, subject, fmt.Sprintf("its payment %s says that %d are paid back or about to be, its refunds say %d made and %d due",
				p.reference, p.payingBack, m, d), id)
		}
	}
	e, o := b.ledger[id], b.byID[id]
	if e == nil || o == nil || o.State != onsale.OrderTicketed {
		return
	}
	// Captures that never came to the book may be reversed without it.
	unknown := max(0, e.Amount*int64(e.Captures)-captured)
	switch {
	case e.Refunded > made+due+unknown:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("the provider has paid back %d %s, and the book knows of %d", e.Refunded, e.Currency, made+due), id)
	case e.Refunded < made && b.in.AtRest:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("%d %s of it were paid back, and the provider says %d", made, e.Currency, e.Refunded), id)
	}
}

// checkBarred holds an order's tickets to its refunds: what is paid back admits nobody,
// what is about to be admits nobody meanwhile, and nothing else is barred. Those of a
// refunded order are all void, which checkTickets sees to.
func checkBarred(b *books, f *findings, id onsale.OrderID) {
	if o := b.byID[id]; o != nil && o.State == onsale.OrderRefunded {
		return
	}
	want := map[onsale.TicketID]onsale.TicketState{}
	for _, r := range b.refunds[id] {
		for _, n := range r.Tickets {
			switch r.State {
			case onsale.RefundStateDue:
				want[id.Ticket(n)] = onsale.TicketBlocked
			case onsale.RefundStateMade, onsale.RefundStateFailed:
				want[id.Ticket(n)] = onsale.TicketVoid
			}
		}
	}
	o := b.byID[id]
	for _, t := range b.tickets[id] {
		should := cmp.Or(want[t.ID], onsale.TicketValid)
		if o != nil && o.State == onsale.OrderRefunded { // by whatever record
			should = onsale.TicketVoid
		}
		if is := t.State; is != should {
			f.add(onsale.InvariantCharges, "ticket "+string(t.ID), fmt.Sprintf("it is %s, and by the refunds of its order it would be %s", is, should), id)
		}
	}
}

// queueRefunds reads the event's refunds.
func (b *books) queueRefunds(q *pgx.Batch, refunds *[]*refundRow) {
	id := string(b.in.Event)
	q.Queue(readRefunds+`WHERE event = $1 ORDER BY asked_at, id`, id).Query(func(rows pgx.Rows) (err error) {
		*refunds, err = pgx.CollectRows(rows, scanRefund)
		return err
	})
}

// paidBack is how much of a payment was paid back, and how much is about to be.
func (b *books) paidBack(p paymentRow) (made, due int64) {
	for _, r := range b.refunds[p.order] {
		switch {
		case r.Payment != p.reference:
		case r.State == onsale.RefundStateMade:
			made += r.Amount
		case r.State == onsale.RefundStateDue:
			due += r.Amount
		}
	}
	return made, due
}

// owedAgain are an order's refunds that have failed after they were made, and that no later
// one of the same payment stands for: the same that Unmended counts.
func (b *books) owedAgain(id onsale.OrderID) (owed []*refundRow) {
	for _, r := range b.refunds[id] {
		again := func(a *refundRow) bool {
			return a.Payment == r.Payment && a.AskedAt.After(r.EndedAt) && a.Amount >= r.Amount && (a.State == onsale.RefundStateDue || a.State == onsale.RefundStateMade)
		}
		if r.State == onsale.RefundStateFailed && !slices.ContainsFunc(b.refunds[id], again) {
			owed = append(owed, r)
		}
	}
	return owed
}

// isBeingRefunded reports whether all of a payment is paid back, or about to be.
func (b *books) isBeingRefunded(p paymentRow) bool {
	made, due := b.paidBack(p)
	return made+due >= p.amount && len(b.refunds[p.order]) > 0
}

// owned is what an order has: its lines, less what was refunded.
func (b *books) owned(o *onsale.Order) []onsale.Line {
	if b.refunds[o.ID] == nil {
		return o.Lines
	}
	void := false
	var lines []onsale.Line
	tickets := slices.Clone(b.tickets[o.ID])
	slices.SortStableFunc(tickets, func(x, y onsale.Ticket) int { return strings.Compare(x.Section, y.Section) })
	for _, t := range tickets {
		if t.State == onsale.TicketVoid {
			void = true
			continue
		}
		lines = addClaim(lines, t.Section, t.Seat, 1)
	}
	if !void {
		return o.Lines
	}
	return lines
}

// isLessRefunds reports whether a hold has what its order has left. Until it is told of a
// refund it has what it had.
func (b *books) isLessRefunds(h *onsale.HeldRecord, o *onsale.Order) bool {
	return o.State == onsale.OrderRefunded && h.State == onsale.HoldReleased || sameLines(h.Lines, b.owned(o))
}

// noteDueRefunds counts the refunds that the provider has not answered yet.
func noteDueRefunds(b *books, f *findings) {
	due := 0
	for _, refunds := range b.refunds {
		for _, r := range refunds {
			if r.State == onsale.RefundStateDue {
				due++
			}
		}
	}
	if due > 0 {
		f.skip(onsale.InvariantCharges, fmt.Sprintf("%d refunds are due, and the provider has not answered yet", due))
	}
}
