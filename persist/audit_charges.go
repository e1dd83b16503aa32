package persist

import (
	"fmt"
	"maps"
	"slices"

	"onsale"
)

// checkCharges is invariant 3: each captured payment has exactly one ticketed order
// (less its recorded refunds) or one full refund. It is checked both ways, between
// the payments and orders of the book, and between the book and the provider's
// ledger if that is known.
func checkCharges(b *books, f *findings) {
	for _, id := range slices.Sorted(maps.Keys(b.payments)) {
		for _, p := range b.payments[id] {
			checkPayment(b, f, p)
		}
	}
	for _, o := range b.orders {
		checkPaid(b, f, o)
	}
	for _, id := range slices.Sorted(maps.Keys(b.ledger)) {
		checkEntry(b, f, b.ledger[id])
	}
	f.report.DoubleCharges = countDoubleCharges(b)
}

// checkPayment holds one recorded capture to its order.
func checkPayment(b *books, f *findings, p paymentRow) {
	subject := "order " + string(p.order)
	o := b.byID[p.order]
	switch {
	case p.state == paymentRefundDue && b.isBeingRefunded(p):
	case p.state == paymentRefundDue:
		if e := b.ledger[p.order]; e == nil || e.Refunded < p.amount {
			f.add(onsale.InvariantCharges, subject, fmt.Sprintf("%d %s captured as %s bought nothing (%s) and are not refunded",
				p.amount, p.currency, p.reference, p.reason), p.order)
		}
	case p.state == paymentRefunded:
	case o == nil || o.State != onsale.OrderTicketed && o.State != onsale.OrderRefunded:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("it is paid by %s and %s", p.reference, stateOf(o)), p.order)
	case p.amount != o.Amount || p.currency != o.Currency:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("it costs %d %s and %d %s were captured as %s",
			o.Amount, o.Currency, p.amount, p.currency, p.reference), p.order)
	}
}

// checkPaid holds a ticketed order to its payment.
func checkPaid(b *books, f *findings, o *onsale.Order) {
	if o.State != onsale.OrderTicketed {
		return
	}
	settled := slices.ContainsFunc(b.payments[o.ID], func(p paymentRow) bool { return p.state == paymentSettled })
	e := b.ledger[o.ID]
	switch {
	case !settled:
		f.add(onsale.InvariantCharges, "order "+string(o.ID), "it is ticketed, and no payment of it is on record", o.ID)
	case b.ledger == nil:
	case e == nil && b.in.AtRest: // a ledger that was read before may lack what was captured since
		f.add(onsale.InvariantCharges, "order "+string(o.ID), "it is ticketed, and the provider knows of no charge", o.ID)
	case e != nil && e.Outcome != onsale.ChargeCaptured:
		f.add(onsale.InvariantCharges, "order "+string(o.ID), fmt.Sprintf("it is ticketed, and the provider says that its charge is %s", e.Outcome), o.ID)
	}
}

// checkEntry holds what the provider captured to the book. An order that has not
// ended yet may have been charged already; checkOrders says if it never ends.
func checkEntry(b *books, f *findings, e *onsale.LedgerEntry) {
	if e.Outcome != onsale.ChargeCaptured {
		return
	}
	subject := "order " + string(e.Order)
	o, payments := b.byID[e.Order], b.payments[e.Order]
	known := slices.ContainsFunc(payments, func(p paymentRow) bool { return p.reference == e.Reference })
	due := slices.ContainsFunc(payments, func(p paymentRow) bool { return p.state == paymentRefundDue })
	switch {
	case e.Captures > 1 && !due && e.Refunded < e.Amount*int64(e.Captures-1): // checkPayment has said it, if it is due
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("the provider took its money %d times, as %s", e.Captures, e.Reference), e.Order)
	case o == nil && !due && e.Refunded < e.Amount:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("the provider captured %d %s as %s, and the book has no such order",
			e.Amount, e.Currency, e.Reference), e.Order)
	case o == nil || !o.State.Final():
	case o.State != onsale.OrderTicketed && o.State != onsale.OrderRefunded && !due && e.Refunded < e.Amount:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("the provider captured %d %s as %s, and the order is %s",
			e.Amount, e.Currency, e.Reference, o.State), e.Order)
	case o.State == onsale.OrderTicketed && len(payments) > 0 && !known && !due:
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("the provider captured it as %s, and the book has another reference", e.Reference), e.Order)
	case o.State == onsale.OrderTicketed && (e.Amount != o.Amount || e.Currency != o.Currency):
		f.add(onsale.InvariantCharges, subject, fmt.Sprintf("it costs %d %s and the provider captured %d %s",
			o.Amount, o.Currency, e.Amount, e.Currency), e.Order)
	}
}

// countDoubleCharges counts captures beyond the one that an order may have, or
// without an order that has tickets for it; what was refunded, or is about to be, is not
// counted.
func countDoubleCharges(b *books) int64 {
	charged := map[onsale.OrderID]bool{}
	for id := range b.payments {
		charged[id] = true
	}
	for id := range b.ledger {
		charged[id] = true
	}
	var sum int64
	for id := range charged {
		var captures, refunds int64
		for _, p := range b.payments[id] {
			captures++
			if p.state == paymentRefunded || b.isBeingRefunded(p) {
				refunds++
			}
		}
		if e := b.ledger[id]; e != nil && e.Outcome == onsale.ChargeCaptured {
			captures = max(captures, int64(e.Captures))
			if e.Amount > 0 {
				refunds = max(refunds, e.Refunded/e.Amount)
			}
		}
		if o := b.byID[id]; o != nil && (o.State == onsale.OrderTicketed || !o.State.Final()) {
			captures--
		}
		sum += max(0, captures-refunds)
	}
	return sum
}

func stateOf(o *onsale.Order) string {
	if o == nil {
		return "does not exist"
	}
	return "is " + string(o.State)
}
