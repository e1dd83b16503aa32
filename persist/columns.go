package persist

// Batches travel to Postgres as columns: one array a column, spread out there by
// unnest, so that a statement's text and cost don't grow with the batch's rows.

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"onsale"
)

// sectionColumns are places, each once.
type sectionColumns struct {
	events, sections []string
	quantities       []int64
}

// sectionsOf returns the sections of lines, with the admissions of each, in the
// order in which they are locked.
func sectionsOf(quantities map[place]int64) sectionColumns {
	places := make([]place, 0, len(quantities))
	for p := range quantities {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.section, b.section))
	})
	var c sectionColumns
	for _, p := range places {
		c.events = append(c.events, p.event)
		c.sections = append(c.sections, p.section)
		c.quantities = append(c.quantities, quantities[p])
	}
	return c
}

// addLines adds the admissions of an order's lines to those of their sections.
func addLines(quantities map[place]int64, event onsale.EventID, lines []onsale.Line) {
	for _, line := range lines {
		quantities[place{string(event), line.Section}] += int64(line.Quantity)
	}
}

// orderColumns are rows of orders.
type orderColumns struct {
	ids, events, buyers, states, reasons, lines, currencies, tokens []string
	amounts                                                         []int64
	accepted                                                        []time.Time
}

func (c *orderColumns) add(p *onsale.Purchase, state onsale.OrderState, reason string) error {
	lines, err := onsale.AppendLines(nil, p.Lines)
	if err != nil {
		return fmt.Errorf("encode the lines of %s: %w", p.Order, err)
	}
	c.ids = append(c.ids, string(p.Order))
	c.events = append(c.events, string(p.Event))
	c.buyers = append(c.buyers, string(p.Buyer))
	c.states = append(c.states, string(state))
	c.reasons = append(c.reasons, reason)
	c.lines = append(c.lines, string(lines))
	c.currencies = append(c.currencies, p.Currency)
	c.tokens = append(c.tokens, p.PaymentToken)
	c.amounts = append(c.amounts, p.Amount)
	c.accepted = append(c.accepted, p.At)
	return nil
}

// claimColumns are rows of claims.
type claimColumns struct {
	events, orders, sections, seats []string
	quantities                      []int32
}

func (c *claimColumns) add(event onsale.EventID, order onsale.OrderID, lines []onsale.Line) {
	one := func(section, seat string, quantity int) {
		c.events = append(c.events, string(event))
		c.orders = append(c.orders, string(order))
		c.sections = append(c.sections, section)
		c.seats = append(c.seats, seat)
		c.quantities = append(c.quantities, int32(quantity))
	}
	for _, line := range lines {
		for _, seat := range line.Seats {
			one(line.Section, seat, 1)
		}
		if len(line.Seats) == 0 {
			one(line.Section, "", line.Quantity)
		}
	}
}
