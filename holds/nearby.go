package holds

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"onsale"
)

// A refusal says what could be had instead, as far as this process knows: the nearest
// seats that touch in the same section, then other sections that have enough or, if there is nothing else, fewer, those of
// the nearest price first. It is advice and may be gone when it arrives; so it comes
// from the mirror, and costs Redis nothing.

const (
	// nearbyMost is how many things a refusal offers.
	nearbyMost = 3
	// nearbyReach is how many seats, on each side of what was asked for, are looked at.
	nearbyReach = 2000
)

// nearby completes a refusal of a request that was for more than is left.
func (m *Mirrors) nearby(l *onsale.Layout, asks []onsale.CheckedAsk, refusal error) error {
	e, ok := errors.AsType[*onsale.Error](refusal)
	if !ok || e.Section == "" || len(e.Nearby) > 0 {
		return refusal
	}
	if v := m.begun(l.Event.ID); v != nil {
		v.look(func(stock *onsale.Stock) { e.Nearby = offers(l, stock, asks, e) })
	}
	return refusal
}

// offers is what the stock has nearest to what was refused.
func offers(l *onsale.Layout, stock *onsale.Stock, asks []onsale.CheckedAsk, refused *onsale.Error) (offers []onsale.Offer) {
	at := l.Section(refused.Section)
	i := slices.IndexFunc(asks, func(a onsale.CheckedAsk) bool { return slices.Contains(a.In, at) })
	if at == nil || i < 0 {
		return nil
	}
	ask := &asks[i]
	if seats := nearestSeats(at, stock, ask, refused.Code == onsale.CodeNotTogether); len(seats) > 0 {
		offers = append(offers, onsale.Offer{Section: at.ID, Available: stock.Counts[at.Index].Available, Seats: seats})
	}
	others := elsewhere(l, stock, ask, int64(ask.Quantity))
	if len(offers)+len(others) == 0 {
		others = elsewhere(l, stock, ask, 1) // fewer is better than nothing
	}
	slices.SortStableFunc(others, func(a, b *onsale.SectionLayout) int {
		return cmp.Compare(distance(a.Price, at.Price), distance(b.Price, at.Price))
	})
	for _, s := range others[:min(len(others), nearbyMost-len(offers))] {
		offers = append(offers, onsale.Offer{Section: s.ID, Available: stock.Counts[s.Index].Available})
	}
	return offers
}

// elsewhere is the sections that have so many, besides those that were asked.
func elsewhere(l *onsale.Layout, stock *onsale.Stock, ask *onsale.CheckedAsk, quantity int64) (others []*onsale.SectionLayout) {
	for _, s := range l.Sections() {
		if !slices.Contains(ask.In, s) && stock.Counts[s.Index].Available >= quantity {
			others = append(others, s)
		}
	}
	return others
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// nearestSeats are as many seats as were asked for that touch, nearest to those that were
// picked or, if none were, to the section's best; or, apart, as many as there are.
func nearestSeats(s *onsale.SectionLayout, stock *onsale.Stock, ask *onsale.CheckedAsk, apart bool) []string {
	if s.Kind != onsale.Reserved || ask.Wheelchair > 0 {
		return nil
	}
	around := s.Start
	if len(ask.Offsets) > 0 {
		around = ask.Offsets[0]
	}
	from, to := max(s.Start, around-nearbyReach), min(s.End, around+nearbyReach)
	seats := stock.Seats[from:to]
	if !apart {
		block := nearestBlock(seats, around-from, ask.Quantity)
		return seatsAt(s, from+block, ask.Quantity, block)
	}
	var names []string
	for i := 0; i < len(seats) && len(names) < ask.Quantity; i++ {
		if seats[i] == onsale.SeatAvailable {
			names = append(names, s.Seat(from+i))
		}
	}
	return names
}

// nearestBlock is where n available seats that touch begin, nearest to a place; -1 if
// there are none.
func nearestBlock(seats []byte, around, n int) int {
	block := bytes.Repeat([]byte{onsale.SeatAvailable}, n)
	before := bytes.LastIndex(seats[:min(len(seats), around+n)], block)
	after := bytes.Index(seats[min(len(seats), around):], block)
	if after >= 0 && (before < 0 || after < around-before) {
		return around + after
	}
	return before
}

func seatsAt(s *onsale.SectionLayout, offset, n, found int) []string {
	if found < 0 {
		return nil
	}
	names := make([]string, n)
	for i := range names {
		names[i] = s.Seat(offset + i)
	}
	return names
}
