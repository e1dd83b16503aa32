package onsale

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Sale is what an event's sale is doing.
type Sale string

// The states of a sale. An operator moves it draft → open ⇄ paused → closed;
// recovering is Redis's own, while stock is being rebuilt.
const (
	SaleDraft      Sale = "draft"
	SaleOpen       Sale = "open"
	SalePaused     Sale = "paused"
	SaleClosed     Sale = "closed"
	SaleRecovering Sale = "recovering"
)

// CanBecome reports whether an operator may move a sale from s to next.
func (s Sale) CanBecome(next Sale) bool {
	switch next {
	case SaleOpen:
		return s == SaleDraft || s == SalePaused
	case SalePaused:
		return s == SaleOpen
	case SaleClosed:
		return s == SaleOpen || s == SalePaused || s == SaleDraft
	}
	return false
}

// Kind tells how a section is sold.
type Kind string

// The kinds of section.
const (
	// General admission: a count, any place.
	General Kind = "general"
	// Reserved: rows of numbered seats.
	Reserved Kind = "reserved"
)

// Event is one performance on sale. Once created, its sections never change.
type Event struct {
	ID          EventID   `json:"id"`
	Name        string    `json:"name"`
	Venue       string    `json:"venue,omitempty"`
	StartsAt    time.Time `json:"starts_at"`
	Currency    string    `json:"currency"`               // ISO 4217, three capitals
	HoldSeconds int       `json:"hold_seconds,omitempty"` // default 120
	MaxPerBuyer int       `json:"max_per_buyer"`          // held and sold together; default 6

	HoldsPerMinute int  `json:"holds_per_minute,omitempty"` // one buyer's; default 20
	ExtendSeconds  int  `json:"extend_seconds,omitempty"`   // a hold may be extended once by it; default 0: it may not
	AllowOrphans   bool `json:"allow_orphans,omitempty"`    // best available may leave a lone single seat

	// Stripes is over how many books, each in a slot of Redis of its own, the stock is
	// spread: for an event that outgrows one Redis. 0, the default, is one, and all that
	// an event with reserved seats can have; up to MaxStripes.
	Stripes int `json:"stripes,omitempty"`

	Sections []Section `json:"sections"`
	Sale     Sale      `json:"sale,omitempty"`  // set by Onsale, never by the file
	Epoch    Epoch     `json:"epoch,omitempty"` // set by Onsale, never by the file
}

// Section is a priced part of an event.
type Section struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	Price    int64  `json:"price"`              // in minor units of the event's currency, up to MaxPrice
	Capacity int64  `json:"capacity,omitempty"` // general: given; reserved: the sum of its rows
	Rows     []Row  `json:"rows,omitempty"`     // reserved only, best row first

	Wheelchair []string `json:"wheelchair,omitempty"` // seats "ROW-NUMBER" kept for wheelchairs
	Companion  []string `json:"companion,omitempty"`  // seats kept for who comes with them
	Grid       *Grid    `json:"grid,omitempty"`       // reserved only, in a file: short for equal rows A, B, …, Z, AA, …
}

// Row is a row of seats numbered from 1.
type Row struct {
	ID    string `json:"id"`
	Seats int    `json:"seats"`
}

// Grid is shorthand for a number of equal rows.
type Grid struct {
	Rows  int `json:"rows"`
	Seats int `json:"seats"`
}

var (
	namePattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	rowPattern      = regexp.MustCompile(`^[A-Za-z0-9]{1,8}$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
)

const (
	defaultMaxPerBuyer    = 6
	defaultHoldsPerMinute = 20
	maxHoldsPerMinute     = 1_000_000
)

// Complete fills in defaults, spells out grids as rows, and checks the whole.
// It returns a bad_event refusal that names the first thing to mend.
func (e *Event) Complete() error {
	if e.HoldSeconds == 0 {
		e.HoldSeconds = int(DefaultHoldTime / time.Second)
	}
	if e.MaxPerBuyer == 0 {
		e.MaxPerBuyer = defaultMaxPerBuyer
	}
	if e.HoldsPerMinute == 0 {
		e.HoldsPerMinute = defaultHoldsPerMinute
	}
	if e.Stripes == 1 {
		e.Stripes = 0 // the same, said in one way
	}
	if e.Sale == "" {
		e.Sale = SaleDraft
	}
	if err := e.check(); err != nil {
		return err
	}
	seen, seats := map[string]bool{}, int64(0)
	for i := range e.Sections {
		s := &e.Sections[i]
		if seen[s.ID] {
			return badEvent("section %q occurs twice", s.ID)
		}
		seen[s.ID] = true
		if err := s.complete(); err != nil {
			return err
		}
		if s.Kind == Reserved {
			seats += s.Capacity
		}
		if s.Kind == Reserved && e.Striped() {
			return badEvent("section %q is reserved: only an event whose sections are all %q can have stripes", s.ID, General)
		}
	}
	if seats > MaxSeatsPerEvent {
		return badEvent("%d reserved seats; an event may have %d", seats, MaxSeatsPerEvent)
	}
	return nil
}

func (e *Event) check() error {
	hold := e.HoldTime()
	switch {
	case !e.ID.Valid():
		return badEvent("id %q must be 1 to 48 of a-z, 0-9 and '-', and not start or end with '-'", e.ID)
	case strings.TrimSpace(e.Name) == "" || len(e.Name) > 200:
		return badEvent("name must have 1 to 200 characters")
	case !currencyPattern.MatchString(e.Currency):
		return badEvent("currency %q must be three capitals, as EUR", e.Currency)
	case e.StartsAt.IsZero():
		return badEvent("starts_at is missing: write it as 2027-06-05T20:00:00Z")
	case hold < MinHoldTime || hold > MaxHoldTime:
		return badEvent("hold_seconds must be from %.0f to %.0f", MinHoldTime.Seconds(), MaxHoldTime.Seconds())
	case e.ExtendSeconds < 0 || hold+e.ExtendTime() > MaxHoldTime:
		return badEvent("hold_seconds and extend_seconds together must be %.0f at the most", MaxHoldTime.Seconds())
	case e.HoldsPerMinute < 1 || e.HoldsPerMinute > maxHoldsPerMinute:
		return badEvent("holds_per_minute must be from 1 to %d", maxHoldsPerMinute)
	case e.MaxPerBuyer < 1 || e.MaxPerBuyer > MaxPerBuyer:
		return badEvent("max_per_buyer must be from 1 to %d", MaxPerBuyer)
	case e.Stripes < 0 || e.Stripes > MaxStripes:
		return badEvent("stripes must be from 1 to %d", MaxStripes)
	case len(e.Sections) == 0 || len(e.Sections) > MaxSections:
		return badEvent("an event has 1 to %d sections", MaxSections)
	}
	return nil
}

func (s *Section) complete() error {
	if !namePattern.MatchString(s.ID) {
		return badEvent("section id %q must be 1 to 32 of a-z, 0-9 and '-'", s.ID)
	}
	if s.Name == "" {
		s.Name = s.ID
	}
	if s.Price < 0 || s.Price > MaxPrice {
		return badEvent("section %q: price must be from 0 to %d minor units", s.ID, MaxPrice)
	}
	switch s.Kind {
	case General:
		if len(s.Rows) > 0 || s.Grid != nil || len(s.Wheelchair)+len(s.Companion) > 0 {
			return badEvent("section %q: a general section has a capacity, not rows", s.ID)
		}
		if s.Capacity < 1 || s.Capacity > MaxCapacity {
			return badEvent("section %q: capacity must be from 1 to %d", s.ID, MaxCapacity)
		}
		return nil
	case Reserved:
		return s.completeRows()
	}
	return badEvent("section %q: kind must be %q or %q", s.ID, General, Reserved)
}

func (s *Section) completeRows() error {
	if g := s.Grid; g != nil {
		if len(s.Rows) > 0 || g.Rows < 1 || g.Rows > 700 {
			return badEvent("section %q: give either rows or a grid of 1 to 700 rows", s.ID)
		}
		for i := range g.Rows {
			s.Rows = append(s.Rows, Row{ID: rowName(i), Seats: g.Seats})
		}
		s.Grid = nil
	}
	if len(s.Rows) == 0 {
		return badEvent("section %q: a reserved section has rows", s.ID)
	}
	seen, sum := map[string]bool{}, int64(0)
	for _, r := range s.Rows {
		if !rowPattern.MatchString(r.ID) || seen[r.ID] {
			return badEvent("section %q: row %q must be unique, 1 to 8 letters or digits", s.ID, r.ID)
		}
		if r.Seats < 1 || r.Seats > 500 {
			return badEvent("section %q: row %q must have 1 to 500 seats", s.ID, r.ID)
		}
		seen[r.ID] = true
		sum += int64(r.Seats)
	}
	if s.Capacity != 0 && s.Capacity != sum {
		return badEvent("section %q: capacity %d, but its rows have %d seats", s.ID, s.Capacity, sum)
	}
	s.Capacity = sum
	return s.completeAccessible()
}

// completeAccessible checks that each accessible seat exists and is named once.
func (s *Section) completeAccessible() error {
	seats := map[string]int{}
	for _, r := range s.Rows {
		seats[r.ID] = r.Seats
	}
	seen := map[string]bool{}
	for _, seat := range append(append([]string(nil), s.Wheelchair...), s.Companion...) {
		row, number, _ := strings.Cut(seat, "-")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > seats[row] || strconv.Itoa(n) != number {
			return badEvent("section %q: there is no seat %q for wheelchair or companion", s.ID, seat)
		}
		if seen[seat] {
			return badEvent("section %q: seat %q is wheelchair or companion twice", s.ID, seat)
		}
		seen[seat] = true
	}
	return nil
}

// rowName is A, B, …, Z, AA, AB, … for 0, 1, …
func rowName(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return rowName(i/26-1) + string(rune('A'+i%26))
}

// Striped reports whether the event's stock is spread over several books.
func (e *Event) Striped() bool { return e.Stripes > 1 }

// HoldTime is how long a hold of this event lives.
func (e *Event) HoldTime() time.Duration { return time.Duration(e.HoldSeconds) * time.Second }

// ExtendTime is by how much a hold may be extended, once; 0 if it may not.
func (e *Event) ExtendTime() time.Duration { return time.Duration(e.ExtendSeconds) * time.Second }

// Capacity is how many admissions the event has in all.
func (e *Event) Capacity() int64 {
	var sum int64
	for i := range e.Sections {
		sum += e.Sections[i].Capacity
	}
	return sum
}

func badEvent(format string, args ...any) error {
	return Refuse(CodeBadEvent, fmt.Sprintf(format, args...))
}
