package onsale

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// A seat is one byte of the event's seat string, in Redis, in the feed's
// snapshots and in the browser. Rows follow each other, best first, each ended
// by a RowEnd, so that seats that touch in the string touch in the hall.
const (
	SeatAvailable byte = 'a'
	// Available, for those who ask for them alone.
	SeatWheelchair byte = 'w'
	SeatCompanion  byte = 'c'

	SeatHeld   byte = 'h'
	SeatPinned byte = 'p'
	SeatSold   byte = 's'
	RowEnd     byte = '|'
)

// IsAvailable reports whether a seat with this letter can be held.
func IsAvailable(letter byte) bool {
	return letter == SeatAvailable || letter == SeatWheelchair || letter == SeatCompanion
}

// Layout says where each section's seats stand in the event's seat string. It
// is derived from the event alone, so every process derives the same one.
type Layout struct {
	Event    *Event
	sections map[string]*SectionLayout
	inOrder  []*SectionLayout
	length   int
}

// SectionLayout is one section's place in the event.
type SectionLayout struct {
	*Section
	Index int // its place in Event.Sections; what Lua knows it by
	Start int // offset of its first byte in the seat string; its end for a general section
	End   int // offset after its last byte

	rows map[string]rowPlace
}

// rowPlace is where a row's first seat stands, and how many seats it has.
type rowPlace struct{ start, seats int }

// NewLayout returns the layout of a completed event. It keeps the event, which
// must not change afterwards.
func NewLayout(e *Event) *Layout {
	l := &Layout{Event: e, sections: make(map[string]*SectionLayout, len(e.Sections))}
	for i := range e.Sections {
		s := &SectionLayout{Section: &e.Sections[i], Index: i, Start: l.length, rows: make(map[string]rowPlace, len(e.Sections[i].Rows))}
		for _, r := range s.Rows {
			s.rows[r.ID] = rowPlace{l.length, r.Seats}
			l.length += r.Seats + 1
		}
		s.End = l.length
		l.sections[s.ID] = s
		l.inOrder = append(l.inOrder, s)
	}
	return l
}

// Section returns the section with the id, or nil.
func (l *Layout) Section(id string) *SectionLayout { return l.sections[id] }

// Sections returns the sections in the event's order.
func (l *Layout) Sections() []*SectionLayout { return l.inOrder }

// Capacity is how many admissions the event has in all.
func (l *Layout) Capacity() (n int64) {
	for _, s := range l.inOrder {
		n += s.Capacity
	}
	return n
}

// Length is how many bytes the event's seat string has.
func (l *Layout) Length() int { return l.length }

// Empty returns the seat string of a house with every seat available.
func (l *Layout) Empty() []byte {
	b := bytes.Repeat([]byte{SeatAvailable}, l.length)
	for _, s := range l.inOrder {
		end := s.Start - 1
		for _, r := range s.Rows {
			end += r.Seats + 1
			b[end] = RowEnd
		}
		s.mark(b, s.Wheelchair, SeatWheelchair)
		s.mark(b, s.Companion, SeatCompanion)
	}
	return b
}

func (s *SectionLayout) mark(house []byte, seats []string, letter byte) {
	for _, seat := range seats {
		if offset, ok := s.Offset(seat); ok { // Complete has checked it
			house[offset] = letter
		}
	}
}

// Letter is what the seat at an offset is when it is available.
func (s *SectionLayout) Letter(offset int) byte {
	name := s.Seat(offset)
	switch {
	case slices.Contains(s.Wheelchair, name):
		return SeatWheelchair
	case slices.Contains(s.Companion, name):
		return SeatCompanion
	}
	return SeatAvailable
}

// Offset returns where seat "ROW-NUMBER" of the section stands in the event's
// seat string. ok is false if the section has no such seat.
func (s *SectionLayout) Offset(seat string) (offset int, ok bool) {
	name, number, ok := strings.Cut(seat, "-")
	row, known := s.rows[name]
	n, err := strconv.Atoi(number)
	if !ok || !known || err != nil || n < 1 || n > row.seats || strconv.Itoa(n) != number {
		return 0, false
	}
	return row.start + n - 1, true
}

// Seat is the inverse of Offset: the name of the seat at an offset of the
// event's seat string, or "" if the section has none there.
func (s *SectionLayout) Seat(offset int) string {
	for _, r := range s.Rows {
		start := s.rows[r.ID].start
		if offset >= start && offset < start+r.Seats {
			return r.ID + "-" + strconv.Itoa(offset-start+1)
		}
	}
	return ""
}
