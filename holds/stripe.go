package holds

import (
	"hash/fnv"
	"time"

	"onsale"
)

// One event can outgrow one Redis. A striped event has several books, each in a slot
// of its own and so, in a cluster, on any of its masters: its stripes. What makes them
// one event:
//
//   - A buyer has a home stripe, and all that is theirs is there. So every rule about
//     one buyer, hold or key is still decided in one call.
//   - Stock goes to the buyer. A stripe that is short borrows from others, in two steps
//     that anyone may repeat or finish; see lua/stripe.lua and stripe_survey.go. Only
//     when all together are short is the section sold out.
//   - What shows is the sum: of counts, and of the seqs, which so still rises by one with
//     each delta. Two processes may see different stocks at one seq, since stripes
//     have no common order; at rest they see the same.
//   - Stock is laid in all stripes in one epoch, in the first one begun first and ended
//     last: so while that one is whole, another that isn't was lost.

// bookID names a book: an event's, or that of one of its stripes.
type bookID struct {
	event  onsale.EventID
	stripe int // 0 is the first, and all that most events have
}

func (id bookID) keys(namespace string) keys { return stripeKeys(namespace, id.event, id.stripe) }

// booksOf are an event's, in the order of its stripes.
func booksOf(e *onsale.Event) []bookID {
	ids := make([]bookID, max(1, e.Stripes))
	for i := range ids {
		ids[i] = bookID{e.ID, i}
	}
	return ids
}

// homeOf is the book that has all that is a buyer's: the same in every process.
func homeOf(e *onsale.Event, buyer onsale.BuyerID) bookID {
	if !e.Striped() {
		return bookID{event: e.ID}
	}
	h := fnv.New32a()
	h.Write([]byte(buyer)) // never fails
	return bookID{e.ID, int(h.Sum32() % uint32(e.Stripes))}
}

// sumOf is the stock of an event, given its stripes'. While some of them are being laid
// anew, or have been and others not yet, its sale is recovering.
func sumOf(l *onsale.Layout, stripes []*onsale.Stock) *onsale.Stock {
	if len(stripes) == 1 {
		return stripes[0]
	}
	first := stripes[0]
	sum := &onsale.Stock{Event: first.Event, Epoch: first.Epoch, Sale: first.Sale, NextDue: nextDueOf(stripes),
		Counts: make([]onsale.Counts, len(first.Counts)), Seats: l.Empty()}
	for _, s := range stripes {
		sum.Seq += s.Seq
		if s.At.After(sum.At) {
			sum.At = s.At
		}
		if s.Sale == onsale.SaleRecovering || s.Epoch != first.Epoch {
			sum.Sale = onsale.SaleRecovering
		}
		sum.Epoch = max(sum.Epoch, s.Epoch)
	}
	for i := range sum.Counts {
		sum.Counts[i] = sumOfCounts(l, i, stripes)
	}
	return sum
}

// nextDueOf is when the first hold of all stripes is due, zero if none is.
func nextDueOf(stripes []*onsale.Stock) (due time.Time) {
	for _, s := range stripes {
		if !s.NextDue.IsZero() && (due.IsZero() || s.NextDue.Before(due)) {
			due = s.NextDue
		}
	}
	return due
}

// sumOfCounts are a section's in all stripes. What is on its way between two of them
// is for sale as soon as it has come, so all that nobody has is available.
func sumOfCounts(l *onsale.Layout, section int, stripes []*onsale.Stock) (sum onsale.Counts) {
	for _, s := range stripes {
		c := s.Counts[section]
		sum.Held, sum.Pinned, sum.Sold = sum.Held+c.Held, sum.Pinned+c.Pinned, sum.Sold+c.Sold
	}
	// Stripes are read one after the other: what is released in one and held in
	// another meanwhile is seen twice.
	sum.Available = max(0, l.Sections()[section].Capacity-sum.Held-sum.Pinned-sum.Sold)
	return sum
}
