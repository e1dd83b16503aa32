package bench

import (
	"math/rand/v2"
	"slices"
	"strings"

	"onsale"
)

// Choosing is done on what the feed shows, like in a browser, and not on what the
// server knows: it may be gone by then.

// choose returns what a buyer of this temper asks for, or nil if the view shows nothing
// that they want. Who doesn't find their kind takes the other, who doesn't find as many
// takes fewer. Who asks for the best available names no seats.
func choose(t *temper, layout *onsale.Layout, view *onsale.FeedSnapshot) []onsale.Line {
	if view == nil {
		return nil
	}
	quantity := min(t.quantity, layout.Event.MaxPerBuyer)
	kinds := []onsale.Kind{onsale.Reserved, onsale.General}
	if t.way == asksGeneral {
		slices.Reverse(kinds)
	}
	for _, kind := range kinds {
		for n := quantity; n > 0; n-- {
			line, ok := find(t.rng, layout, view, kind, n)
			if !ok {
				continue
			}
			if t.way == asksBest {
				line.Seats = nil
			}
			return []onsale.Line{line}
		}
	}
	return nil
}

// suggested returns of what a refusal says is left nearby the first that a buyer of this temper can use; nil
// if there is none.
func suggested(t *temper, layout *onsale.Layout, nearby []onsale.Offer) []onsale.Line {
	quantity := min(t.quantity, layout.Event.MaxPerBuyer)
	for _, o := range nearby {
		section := layout.Section(o.Section)
		if section == nil || o.Available < 1 {
			continue
		}
		line := onsale.Line{Section: o.Section, Quantity: int(min(int64(quantity), o.Available))}
		if section.Kind == onsale.Reserved && t.way != asksBest {
			if len(o.Seats) == 0 {
				continue
			}
			line.Quantity = min(quantity, len(o.Seats))
			line.Seats = o.Seats[:line.Quantity]
		}
		return []onsale.Line{line}
	}
	return nil
}

// blindly returns what a buyer asks for who presses without looking: any block of general
// admission, or any seat if there is none.
func blindly(t *temper, layout *onsale.Layout) []onsale.Line {
	sections := layout.Sections()
	start := t.rng.IntN(len(sections))
	for i := range sections {
		if s := sections[(start+i)%len(sections)]; s.Kind == onsale.General {
			return []onsale.Line{{Section: s.ID, Quantity: min(t.quantity, layout.Event.MaxPerBuyer)}}
		}
	}
	s := sections[start]
	return []onsale.Line{{Section: s.ID, Quantity: 1, Seats: []string{s.Seat(s.Start + t.rng.IntN(int(s.Capacity)))}}}
}

// find looks for n admissions of one section that touch, beginning at a random one.
func find(rng *rand.Rand, layout *onsale.Layout, view *onsale.FeedSnapshot, kind onsale.Kind, n int) (onsale.Line, bool) {
	start := rng.IntN(len(view.Sections))
	for i := range view.Sections {
		shown := &view.Sections[(start+i)%len(view.Sections)]
		if shown.Available < int64(n) { // as it is nearly everywhere, for nearly everybody
			continue
		}
		section := layout.Section(shown.ID)
		if section == nil || section.Kind != kind {
			continue
		}
		line := onsale.Line{Section: shown.ID, Quantity: n}
		if kind == onsale.General {
			return line, true
		}
		offset := neighbours(rng, shown.Seats, n)
		if offset < 0 {
			continue
		}
		for seat := range n {
			line.Seats = append(line.Seats, section.Seat(section.Start+offset+seat))
		}
		return line, true
	}
	return onsale.Line{}, false
}

// neighbours returns the offset of n available seats that touch, the first from a
// random place on, or -1. Rows are kept apart by their ends.
func neighbours(rng *rand.Rand, seats string, n int) int {
	if seats == "" {
		return -1
	}
	want := strings.Repeat(string(onsale.SeatAvailable), n)
	from := rng.IntN(len(seats))
	if i := strings.Index(seats[from:], want); i >= 0 {
		return from + i
	}
	return strings.Index(seats, want)
}

// touch reports whether seats of a section are each other's neighbours, in whatever order.
func touch(section *onsale.SectionLayout, seats []string) bool {
	var offsets []int
	for _, seat := range seats {
		offset, ok := section.Offset(seat)
		if !ok {
			return false
		}
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	for i := range offsets {
		if offsets[i] != offsets[0]+i { // the end of a row is an offset of its own
			return false
		}
	}
	return true
}
