package persist

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"onsale"
)

// checkClaims is invariant 2: no seat has two live claims, and no section has more
// claims than capacity. What makes that so is checked with it: each claim is of a
// seat that exists and of an order that owns it, each such order has the claims of
// its lines, less what was refunded, and the checked counters say what the claims add up to.
func checkClaims(b *books, f *findings) {
	checkSeatsClaimedOnce(b, f)
	for i := range b.layout.Event.Sections {
		s := &b.layout.Event.Sections[i]
		claimed := b.claimedIn[s.ID]
		if over := claimed - s.Capacity; over > 0 {
			f.report.Oversold += over
			f.add(onsale.InvariantClaims, "section "+s.ID, fmt.Sprintf("%d admissions are claimed, %d exist", claimed, s.Capacity))
		}
		if b.counters[s.ID] != claimed {
			f.add(onsale.InvariantClaims, "section "+s.ID, fmt.Sprintf("its counter says %d claimed, its claims add up to %d", b.counters[s.ID], claimed))
		}
	}
	checkClaimants(b, f)
}

func checkSeatsClaimedOnce(b *books, f *findings) {
	owners := map[seatKey][]onsale.OrderID{}
	var twice []seatKey
	for _, c := range b.claims {
		section := b.layout.Section(c.section)
		if section == nil {
			f.add(onsale.InvariantClaims, "section "+c.section, "it is claimed, and the event has no such section", c.order)
			continue
		}
		if _, known := section.Offset(c.seat); known != (section.Kind == onsale.Reserved) {
			f.add(onsale.InvariantClaims, nameSeat(c.section, c.seat), "it is claimed, and the section has no such seat", c.order)
			continue
		}
		if c.seat == "" {
			continue
		}
		key := seatKey{place{section: c.section}, c.seat}
		owners[key] = append(owners[key], c.order)
		if n := len(owners[key]); n > 1 {
			f.report.Oversold++
			if n == 2 {
				twice = append(twice, key)
			}
		}
	}
	for _, key := range twice {
		f.add(onsale.InvariantClaims, nameSeat(key.section, key.seat), fmt.Sprintf("it is claimed by %v", owners[key]), owners[key]...)
	}
}

// checkClaimants holds the claims to the orders, both ways.
func checkClaimants(b *books, f *findings) {
	for _, id := range slices.Sorted(maps.Keys(b.claimsOf)) {
		lines := b.claimsOf[id]
		switch o := b.byID[id]; {
		case o == nil:
			f.add(onsale.InvariantClaims, "order "+string(id), fmt.Sprintf("it claims %s and does not exist", showLines(lines)), id)
		case !o.State.HasClaim():
			f.add(onsale.InvariantClaims, "order "+string(id), fmt.Sprintf("it is %s and still claims %s", o.State, showLines(lines)), id)
		}
	}
	for _, o := range b.orders {
		if claims, owned := b.claimsOf[o.ID], b.owned(o); o.State.HasClaim() && !sameLines(claims, owned) {
			f.add(onsale.InvariantClaims, "order "+string(o.ID), fmt.Sprintf("it is %s with %s and claims %s",
				o.State, showLines(owned), showLines(claims)), o.ID)
		}
	}
}

// sortLines returns the lines by section, and their seats by name.
func sortLines(lines []onsale.Line) []onsale.Line {
	sorted := slices.Clone(lines)
	for i := range sorted {
		sorted[i].Seats = slices.Sorted(slices.Values(sorted[i].Seats))
	}
	slices.SortFunc(sorted, func(a, b onsale.Line) int { return cmp.Compare(a.Section, b.Section) })
	return sorted
}

// sameLines reports whether both are the same admissions, in whatever order.
func sameLines(a, b []onsale.Line) bool {
	return slices.EqualFunc(sortLines(a), sortLines(b), func(a, b onsale.Line) bool {
		return a.Section == b.Section && a.Quantity == b.Quantity && slices.Equal(a.Seats, b.Seats)
	})
}

func showLines(lines []onsale.Line) string {
	if len(lines) == 0 {
		return "nothing"
	}
	text := ""
	for i, line := range sortLines(lines) {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d of %s", line.Quantity, line.Section)
		if len(line.Seats) > 0 {
			text += fmt.Sprint(" ", line.Seats)
		}
	}
	return text
}

func nameSeat(section, seat string) string { return "seat " + section + "/" + seat }
