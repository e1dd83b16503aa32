package onsale

import "time"

// Counts are a section's admissions by what has become of them. They always
// add up to its capacity, and none is negative.
type Counts struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Pinned    int64 `json:"pinned"`
	Sold      int64 `json:"sold"`
}

// Total is what must equal the section's capacity.
func (c Counts) Total() int64 { return c.Available + c.Held + c.Pinned + c.Sold }

// Stock is the whole availability of an event at one sequence number, read from
// Redis in one step.
type Stock struct {
	Event   EventID
	Epoch   Epoch
	Seq     uint64    // number of the last delta that is in it; starts at 0 with each epoch
	At      time.Time // by Redis's clock, to the millisecond
	Sale    Sale
	NextDue time.Time // when the next hold expires; zero if none is due to
	Counts  []Counts  // in the order of Event.Sections
	Seats   []byte    // the event's seat string; see Layout
}

// Delta is one numbered change of the stock. Applying delta n+1 to the stock at
// n gives the stock at n+1.
type Delta struct {
	Epoch   Epoch
	Seq     uint64
	At      time.Time
	Sale    Sale
	NextDue time.Time
	Counts  map[int]Counts // new counts, by section index
	Seats   []SeatRun      // new states
}

// SeatRun is the new state of seats that stand next to each other in the
// event's seat string.
type SeatRun struct {
	Offset int
	States string
}

// Apply changes the stock by a delta. It returns false, and changes nothing, if
// the delta is not the next one of the same epoch: a gap, or another epoch. A
// delta that the stock already has is ignored and returns true.
func (s *Stock) Apply(d *Delta) bool {
	if d.Epoch != s.Epoch {
		return false
	}
	if d.Seq <= s.Seq {
		return true
	}
	if d.Seq != s.Seq+1 {
		return false
	}
	s.Seq, s.At, s.Sale, s.NextDue = d.Seq, d.At, d.Sale, d.NextDue
	for i, c := range d.Counts {
		s.Counts[i] = c
	}
	for _, r := range d.Seats {
		copy(s.Seats[r.Offset:], r.States)
	}
	return true
}

// Clone returns a copy that shares nothing with s.
func (s *Stock) Clone() *Stock {
	c := *s
	c.Counts = append([]Counts(nil), s.Counts...)
	c.Seats = append([]byte(nil), s.Seats...)
	return &c
}
