package onsale

import (
	"fmt"
	"slices"
)

// Ask is one line of what a buyer asks to hold. It says either which seats, or how
// many and where:
//
//	{"section":"floor","quantity":2}                   general admission
//	{"section":"north","seats":["A-1","A-2"]}          these seats
//	{"section":"north","quantity":2}                   the best two together
//	{"sections":["north","south"],"quantity":2}        … in the first of these that has them
//	{"price":9500,"quantity":2}                        … in any section of that price, in the event's order
type Ask struct {
	Section    string   `json:"section,omitempty"`
	Sections   []string `json:"sections,omitempty"`
	Price      *int64   `json:"price,omitempty"` // minor units
	Quantity   int      `json:"quantity,omitempty"`
	Seats      []string `json:"seats,omitempty"`      // "ROW-NUMBER"
	Split      bool     `json:"split,omitempty"`      // seats needn't be together, if they can't be
	Wheelchair int      `json:"wheelchair,omitempty"` // wheelchair places among the quantity; the others are companions
	Accessible bool     `json:"accessible,omitempty"` // the picked seats may be wheelchair and companion seats
}

// CheckedAsk is an ask that an event can answer: which sections, in which order.
type CheckedAsk struct {
	Ask
	In      []*SectionLayout // at least one; exactly one if it is general or picked
	Offsets []int            // of the picked seats, nil if none are picked
}

// CheckAsks holds a request against an event's layout. It refuses an unknown section or
// seat, a seat or section named twice, a quantity below 1 or above what one buyer
// may have, and what contradicts itself. Whether it can be had is Redis's to say.
func (l *Layout) CheckAsks(asks []Ask) ([]CheckedAsk, error) {
	if len(asks) == 0 || len(asks) > MaxLines {
		return nil, Refuse(CodeBadQuantity, fmt.Sprintf("ask for 1 to %d lines in one hold", MaxLines))
	}
	checked := make([]CheckedAsk, len(asks))
	total := 0
	for i := range asks {
		c := &checked[i]
		c.Ask = asks[i]
		if err := l.place(c); err != nil {
			return nil, err
		}
		if c.forItself() {
			// A section may occur once for itself; the best available may be anywhere.
			for j := range i {
				if before := &checked[j]; before.forItself() && before.In[0] == c.In[0] {
					return nil, &Error{Code: CodeBadRequest, Detail: "name each section once", Section: c.In[0].ID}
				}
			}
		}
		if total += c.Quantity; total > l.Event.MaxPerBuyer {
			return nil, badQuantity(c.In[0].ID, l.Event.MaxPerBuyer)
		}
	}
	return checked, nil
}

// forItself reports whether the ask is for one section and no other would do: a general
// one, or seats that were picked.
func (c *CheckedAsk) forItself() bool {
	return len(c.In) == 1 && (c.In[0].Kind == General || c.Offsets != nil)
}

// place finds the ask's sections and checks it against them.
func (l *Layout) place(c *CheckedAsk) error {
	ways := 0
	for _, given := range []bool{c.Section != "", len(c.Sections) > 0, c.Price != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return Refuse(CodeBadRequest, "say where with one of section, sections or price")
	}
	names := c.Sections
	if c.Section != "" {
		names = []string{c.Section}
	}
	for _, name := range names {
		s := l.Section(name)
		if s == nil {
			return &Error{Code: CodeUnknownSection, Detail: "the event has no section " + quote(name), Section: clip(name)}
		}
		if slices.Contains(c.In, s) {
			return &Error{Code: CodeBadRequest, Detail: "name each section once", Section: s.ID}
		}
		c.In = append(c.In, s)
	}
	if c.Price != nil {
		for _, s := range l.Sections() {
			if s.Price == *c.Price {
				c.In = append(c.In, s)
			}
		}
		if len(c.In) == 0 {
			return Refuse(CodeUnknownSection, fmt.Sprintf("no section costs %d", *c.Price))
		}
	}
	return c.fits(l.Event.MaxPerBuyer)
}

func (c *CheckedAsk) fits(most int) error {
	if len(c.Seats) > 0 {
		if len(c.In) != 1 {
			return Refuse(CodeBadRequest, "name the one section of the seats")
		}
		if c.Split || c.Wheelchair != 0 {
			return &Error{Code: CodeBadRequest, Detail: "split and wheelchair are for the best available, not for picked seats", Section: c.In[0].ID}
		}
		return c.pick(most)
	}
	if c.Quantity < 1 || c.Quantity > most {
		return badQuantity(c.In[0].ID, most)
	}
	if c.Wheelchair < 0 || c.Wheelchair > c.Quantity || c.Accessible {
		return &Error{Code: CodeBadRequest, Detail: "wheelchair is a number of places from 0 to the quantity; accessible is for picked seats", Section: c.In[0].ID}
	}
	return nil
}

// pick checks picked seats and finds their offsets.
func (c *CheckedAsk) pick(most int) error {
	s := c.In[0]
	if s.Kind == General {
		return &Error{Code: CodeBadRequest, Detail: "a general section has no numbered seats: give a quantity", Section: s.ID}
	}
	if len(c.Seats) > most || (c.Quantity != 0 && c.Quantity != len(c.Seats)) {
		return badQuantity(s.ID, most)
	}
	c.Quantity = len(c.Seats)
	for i, seat := range c.Seats {
		offset, ok := s.Offset(seat)
		if !ok {
			return &Error{Code: CodeUnknownSeat, Detail: "the section has no seat " + quote(seat), Section: s.ID, Seats: []string{clip(seat)}}
		}
		if slices.Contains(c.Seats[:i], seat) {
			return &Error{Code: CodeBadRequest, Detail: "name each seat once", Section: s.ID, Seats: []string{seat}}
		}
		c.Offsets = append(c.Offsets, offset)
	}
	return nil
}
