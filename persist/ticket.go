package persist

import (
	"context"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// ticketColumns are rows of tickets.
type ticketColumns struct {
	events, orders, sections, seats, codes []string
	numbers                                []int32
}

// issue makes the tickets of the orders that were just paid, with signed codes: one
// an admission, numbered in the order of the lines.
func (s *Store) issue(c *closing) {
	t := &c.tickets
	for _, o := range c.ticketed {
		number := 0
		admit := func(section, seat string) {
			number++
			ticket := onsale.Ticket{ID: o.ID.Ticket(number), Order: o.ID, Event: o.Event, Section: section, Seat: seat}
			ticket.Sign(s.ticketKey)
			t.events = append(t.events, string(o.Event))
			t.orders = append(t.orders, string(o.ID))
			t.sections = append(t.sections, section)
			t.seats = append(t.seats, seat)
			t.codes = append(t.codes, ticket.Code)
			t.numbers = append(t.numbers, int32(number))
		}
		for _, line := range o.Lines {
			for _, seat := range line.Seats {
				admit(line.Section, seat)
			}
			if len(line.Seats) == 0 {
				for range line.Quantity {
					admit(line.Section, "")
				}
			}
		}
	}
}

const ticketColumnsRead = `SELECT order_id, number, event, section, seat, code, issued_at FROM tickets `

// Tickets returns an order's tickets by number; none until it is ticketed.
func (s *Store) Tickets(ctx context.Context, order onsale.OrderID) ([]onsale.Ticket, error) {
	event, _, ok := order.Parse()
	if !ok {
		return nil, unknownOrder()
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, ticketColumnsRead+`WHERE event = $1 AND order_id = $2 ORDER BY number`, string(event), string(order))
	if err != nil {
		return nil, failed("read the tickets of "+string(order), err)
	}
	tickets, err := pgx.CollectRows(rows, scanTicket)
	if err != nil {
		return nil, failed("read the tickets of "+string(order), err)
	}
	return tickets, nil
}

func scanTicket(row pgx.CollectableRow) (onsale.Ticket, error) {
	var t onsale.Ticket
	var number int
	err := row.Scan(&t.Order, &number, &t.Event, &t.Section, &t.Seat, &t.Code, &t.IssuedAt)
	t.ID, t.IssuedAt = t.Order.Ticket(number), t.IssuedAt.UTC()
	return t, err
}
