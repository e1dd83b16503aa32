package persist

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"onsale"
)

// reapAllowance is how long after its deadline a hold may still be written down as
// held. Its inventory is sellable all that time, since every request reaps what is
// due before it looks; if none comes, the sweeper does.
const reapAllowance = 10 * time.Second

// clockAllowance is how far a deadline may lie beyond the hold time from now: Redis's
// clock counts milliseconds, and never runs backwards for an event.
const clockAllowance = time.Second

// checkHolds is invariant 6: no hold outlives its deadline, and none is granted on
// inventory that another live hold has. A hold that can expire is in the index that
// expires it, and one that is pinned in the index that recovery looks into; a seat's
// letter is that of the hold that has it; and what is counted against a buyer's limit
// is what the buyer has. A hold that is owed has nothing in Redis: it heals while the
// sale goes on, and checkRest speaks of it.
func checkHolds(b *books, f *findings) {
	if b.in.View == nil {
		return
	}
	var keys []seatKey
	owners := map[seatKey][]*onsale.HeldRecord{}
	for _, h := range b.held {
		checkTerm(b, f, h)
		if !occupies(h) {
			continue
		}
		for _, line := range h.Lines {
			for _, seat := range line.Seats {
				key := seatKey{place{section: line.Section}, seat}
				if owners[key] = append(owners[key], h); len(owners[key]) == 1 {
					keys = append(keys, key)
				}
			}
		}
	}
	for _, key := range keys {
		checkSeatHeld(b, f, key, owners[key])
	}
	checkBuyers(b, f)
}

// checkTerm holds a hold to end as it must: by its deadline, or by its order.
func checkTerm(b *books, f *findings, h *onsale.HeldRecord) {
	var wrong string
	switch {
	case h.Unreadable != "":
		wrong = "its record can't be read: " + h.Unreadable
	case h.State == onsale.HoldHeld:
		wrong = wrongDeadline(h, b.in.View.Stock.At, b.layout.Event.HoldTime())
	case h.State == onsale.HoldPinned && h.PinnedAt.IsZero():
		wrong = "it is pinned and not in the pin index: recovery would never find it"
	case occupies(h) && !h.Due.IsZero():
		wrong = fmt.Sprintf("it is %s, and in the expiry index at %s: it can't expire, and must not be forgotten", h.State, stamp(h.Due))
	}
	if wrong != "" {
		f.add(onsale.InvariantHolds, "hold "+string(h.ID), wrong, h.ID.Order())
	}
}

// wrongDeadline returns what is wrong with when a held hold ends, or "".
func wrongDeadline(h *onsale.HeldRecord, now time.Time, holdTime time.Duration) string {
	late, ahead := now.Sub(h.ExpiresAt), h.ExpiresAt.Sub(now)
	switch {
	case h.Due.IsZero():
		return "it is held and not in the expiry index: it would never expire"
	case !h.Due.Equal(h.ExpiresAt):
		return fmt.Sprintf("its deadline is %s, and the expiry index has it at %s", stamp(h.ExpiresAt), stamp(h.Due))
	case late > reapAllowance:
		return fmt.Sprintf("it is held %v past its deadline %s", late.Round(time.Millisecond), stamp(h.ExpiresAt))
	case ahead > holdTime+clockAllowance:
		return fmt.Sprintf("its deadline is %v ahead, and a hold lives %v", ahead.Round(time.Millisecond), holdTime)
	}
	return ""
}

// checkSeatHeld holds a seat to have one live hold, and that hold's letter.
func checkSeatHeld(b *books, f *findings, key seatKey, owners []*onsale.HeldRecord) {
	subject, h := nameSeat(key.section, key.seat), owners[0]
	if len(owners) > 1 {
		other := owners[1]
		f.add(onsale.InvariantHolds, subject, fmt.Sprintf("two live holds have it: %s (%s) and %s (%s)",
			h.ID, h.State, other.ID, other.State), h.ID.Order(), other.ID.Order())
		return
	}
	section, seats := b.layout.Section(key.section), b.in.View.Stock.Seats
	if section == nil {
		f.add(onsale.InvariantHolds, subject, fmt.Sprintf("hold %s has it, and the event has no such section", h.ID), h.ID.Order())
		return
	}
	at, known := section.Offset(key.seat)
	if !known || at >= len(seats) {
		f.add(onsale.InvariantHolds, subject, fmt.Sprintf("hold %s has it, and the section has no such seat", h.ID), h.ID.Order())
		return
	}
	if letter := seats[at]; letter != letterOf(h.State) {
		f.add(onsale.InvariantHolds, subject, fmt.Sprintf("it is %q, and hold %s, which has it, is %s", letter, h.ID, h.State), h.ID.Order())
	}
}

// checkBuyers holds the count against each buyer's limit to be what their holds add
// up to, and within the limit. The limit is for who holds: a late payment is honoured though
// its buyer has bought others since it was declined.
func checkBuyers(b *books, f *findings) {
	view := b.in.View
	has := map[onsale.BuyerID]int64{}
	var remembered, sold int64
	all := view.InFlux == 0 // and the records can be read
	for _, h := range b.held {
		all = all && h.Unreadable == ""
		if !occupies(h) {
			continue
		}
		n := int64(onsale.Quantity(h.Lines))
		has[h.Buyer] += n
		if h.State == onsale.HoldSold {
			remembered += n
		}
	}
	for _, c := range view.Stock.Counts {
		sold += c.Sold
	}
	// Sold holds are forgotten after a while and stay counted: then a count may be
	// higher than what the holds add up to, but never lower.
	exact := all && remembered == sold
	buyers := maps.Clone(view.Buyers)
	for buyer := range has {
		if _, counted := buyers[buyer]; !counted {
			if buyers == nil {
				buyers = map[onsale.BuyerID]int64{}
			}
			buyers[buyer] = 0
		}
	}
	late := b.paidLate()
	for _, buyer := range slices.Sorted(maps.Keys(buyers)) {
		counted, holds := buyers[buyer], has[buyer]
		limit := int64(b.layout.Event.MaxPerBuyer) + late[buyer]
		switch {
		case counted < holds || (exact && counted != holds):
			f.add(onsale.InvariantHolds, "buyer "+string(buyer), fmt.Sprintf("%d admissions are counted against the limit, the holds have %d", counted, holds))
		case counted > limit:
			f.add(onsale.InvariantHolds, "buyer "+string(buyer), fmt.Sprintf("they have %d admissions, the limit is %d", counted, limit))
		}
	}
}

// paidLate is how many admissions each buyer has by late payments.
func (b *books) paidLate() map[onsale.BuyerID]int64 {
	late := map[onsale.BuyerID]int64{}
	for _, o := range b.orders {
		if o.State == onsale.OrderTicketed && o.Reason == onsale.ReasonLatePayment {
			late[o.Buyer] += int64(onsale.Quantity(b.owned(o)))
		}
	}
	return late
}

// occupies reports whether a hold has inventory in Redis.
func occupies(h *onsale.HeldRecord) bool { return letterOf(h.State) != 0 && !h.Owed }

// letterOf is the letter of a live hold's seats, 0 for a hold that has ended.
func letterOf(state onsale.HoldState) byte {
	switch state {
	case onsale.HoldHeld:
		return onsale.SeatHeld
	case onsale.HoldPinned:
		return onsale.SeatPinned
	case onsale.HoldSold:
		return onsale.SeatSold
	}
	return 0
}
