package onsale

import (
	"fmt"
	"time"
)

// HoldState is what a hold has come to.
type HoldState string

// The states of a hold: held → pinned → sold, held → released or expired,
// pinned → released when its order is declined or rejected.
const (
	HoldHeld     HoldState = "held"
	HoldPinned   HoldState = "pinned"
	HoldSold     HoldState = "sold"
	HoldReleased HoldState = "released"
	HoldExpired  HoldState = "expired"
)

// Line is one section's part of a hold or an order: a quantity of a general
// section, or the named seats of a reserved one (then Quantity is their number).
type Line struct {
	Section  string   `json:"section"`
	Quantity int      `json:"quantity"`
	Seats    []string `json:"seats,omitempty"` // "ROW-NUMBER", in the order they were asked for
}

// Quantity is the number of admissions of all lines.
func Quantity(lines []Line) int {
	sum := 0
	for _, l := range lines {
		sum += l.Quantity
	}
	return sum
}

// Hold is a soft, owned, expiring claim on inventory.
type Hold struct {
	ID         HoldID    `json:"id"`
	Event      EventID   `json:"event"`
	State      HoldState `json:"state"`
	Generation uint64    `json:"generation"` // rises when the hold's terms change; fences stale requests
	ExpiresAt  time.Time `json:"expires_at"` // by Redis's clock; meaningless once it isn't held
	Lines      []Line    `json:"lines"`
	Amount     int64     `json:"amount"` // minor units
	Currency   string    `json:"currency"`
	Buyer      BuyerID   `json:"-"`
	AcceptedAt time.Time `json:"-"` // when its checkout was accepted; zero if it wasn't, as far as Redis was told
}

// CheckLines completes the lines of a request against an event's layout: it sets
// quantities of picked seats, and refuses an unknown section or seat, a seat or
// section named twice, a quantity below 1 or above what one buyer may have.
// It returns the price of them all, in minor units.
func (l *Layout) CheckLines(lines []Line) (amount int64, err error) {
	if len(lines) == 0 || len(lines) > MaxLines {
		return 0, Refuse(CodeBadQuantity, fmt.Sprintf("ask for 1 to %d sections in one hold", MaxLines))
	}
	seen := make(map[string]bool, len(lines))
	total := 0
	for i := range lines {
		line := &lines[i]
		s := l.Section(line.Section)
		if s == nil {
			return 0, &Error{Code: CodeUnknownSection, Detail: "the event has no section " + quote(line.Section), Section: clip(line.Section)}
		}
		if seen[s.ID] {
			return 0, &Error{Code: CodeBadRequest, Detail: "name each section once", Section: s.ID}
		}
		seen[s.ID] = true
		if err := s.checkLine(line, l.Event.MaxPerBuyer); err != nil {
			return 0, err
		}
		if total += line.Quantity; total > l.Event.MaxPerBuyer {
			return 0, badQuantity(s.ID, l.Event.MaxPerBuyer)
		}
		amount += s.Price * int64(line.Quantity)
	}
	return amount, nil
}

func (s *SectionLayout) checkLine(line *Line, most int) error {
	if s.Kind == General {
		if len(line.Seats) > 0 {
			return &Error{Code: CodeBadRequest, Detail: "a general section has no numbered seats: give a quantity", Section: s.ID}
		}
		if line.Quantity < 1 || line.Quantity > most {
			return badQuantity(s.ID, most)
		}
		return nil
	}
	if len(line.Seats) < 1 || len(line.Seats) > most || (line.Quantity != 0 && line.Quantity != len(line.Seats)) {
		return badQuantity(s.ID, most)
	}
	line.Quantity = len(line.Seats)
	for i, seat := range line.Seats {
		if _, ok := s.Offset(seat); !ok {
			return &Error{Code: CodeUnknownSeat, Detail: "the section has no seat " + quote(seat), Section: s.ID, Seats: []string{clip(seat)}}
		}
		for _, earlier := range line.Seats[:i] {
			if earlier == seat {
				return &Error{Code: CodeBadRequest, Detail: "name each seat once", Section: s.ID, Seats: []string{seat}}
			}
		}
	}
	return nil
}

func badQuantity(section string, most int) error {
	left := int64(most)
	return &Error{Code: CodeBadQuantity, Section: section, Available: &left,
		Detail: fmt.Sprintf("ask for 1 to %d admissions in one hold", most)}
}

// clip bounds what an answer repeats of a request.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }
