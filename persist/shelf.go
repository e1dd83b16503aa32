package persist

// The shelf is where a batch's orders are given their inventory: what is left of
// the sections that the batch touches, read while they are locked. It has no I/O,
// so that the one decision that must never be wrong can be tested by itself.

import "onsale"

// place names a section of an event.
type place struct{ event, section string }

// seatKey names a reserved seat.
type seatKey struct {
	place
	seat string
}

type shelf struct {
	left  map[place]int64 // admissions not claimed
	taken map[seatKey]bool
}

func newShelf() *shelf {
	return &shelf{left: map[place]int64{}, taken: map[seatKey]bool{}}
}

// take gives an order everything that it asks for and returns true, or changes
// nothing and returns false.
func (s *shelf) take(event onsale.EventID, lines []onsale.Line) bool {
	for _, line := range lines {
		p := place{string(event), line.Section}
		if s.left[p] < int64(line.Quantity) {
			return false
		}
		for _, seat := range line.Seats {
			if s.taken[seatKey{p, seat}] {
				return false
			}
		}
	}
	// CheckLines has seen to it that no section or seat is named twice.
	for _, line := range lines {
		p := place{string(event), line.Section}
		s.left[p] -= int64(line.Quantity)
		for _, seat := range line.Seats {
			s.taken[seatKey{p, seat}] = true
		}
	}
	return true
}
