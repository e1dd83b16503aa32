package persist

// The shelf is where a batch's orders are given their inventory: what is left of
// the sections that the batch touches, read while they are locked. Taking has no I/O,
// so that the one decision that must never be wrong can be tested by itself.

import (
	"github.com/jackc/pgx/v5"

	"onsale"
)

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

// queue locks sections and reads what is left of them, and which of the seats are taken.
// Each statement of a READ COMMITTED transaction sees what was committed before it began:
// those after the lock see all that was done under it.
func (s *shelf) queue(q *pgx.Batch, sections *sectionColumns, seats *claimColumns) {
	q.Queue(lockSections, sections.events, sections.sections).Query(func(rows pgx.Rows) error {
		var p place
		var left int64
		_, err := pgx.ForEachRow(rows, []any{&p.event, &p.section, &left}, func() error {
			s.left[p] = left
			return nil
		})
		return err
	})
	q.Queue(readSeats, seats.events, seats.sections, seats.seats).Query(func(rows pgx.Rows) error {
		var k seatKey
		_, err := pgx.ForEachRow(rows, []any{&k.event, &k.section, &k.seat}, func() error {
			s.taken[k] = true
			return nil
		})
		return err
	})
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
