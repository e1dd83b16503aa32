package persist

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// MaxTicketsPage is the longest page of a buyer's tickets.
const MaxTicketsPage = 100

// ticketColumns are rows of tickets.
type ticketColumns struct {
	events, orders, sections, seats, owners []string
	numbers                                 []int32
}

// issue makes the tickets of the orders that were just paid: one an admission,
// numbered in the order of the lines.
func (c *closing) issue() {
	t := &c.tickets
	for _, o := range c.ticketed {
		number := int32(0)
		admit := func(section, seat string) {
			number++
			t.events = append(t.events, string(o.Event))
			t.orders = append(t.orders, string(o.ID))
			t.sections = append(t.sections, section)
			t.seats = append(t.seats, seat)
			t.owners = append(t.owners, string(o.Buyer))
			t.numbers = append(t.numbers, number)
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

const (
	ticketColumnsRead = `SELECT order_id, number, event, section, seat, state, owner, serial, issued_at, admitted_at FROM tickets `
	ofTicket          = `WHERE event = $1 AND order_id = $2 AND number = $3`
	readTicket        = ticketColumnsRead + ofTicket
	lockTicket        = readTicket + ` FOR UPDATE`
)

// ticketRow names a row of tickets.
type ticketRow struct {
	event, order string
	number       int
}

// rowOf returns where a ticket stands. ok is false if the id isn't one.
func rowOf(id onsale.TicketID) (row ticketRow, ok bool) {
	order, number, ok := id.Parse()
	if !ok {
		return ticketRow{}, false
	}
	event, _, _ := order.Parse()
	return ticketRow{string(event), string(order), number}, true
}

// TicketKey is the public key that every code of this installation's tickets can be
// checked with.
func (s *Store) TicketKey() ed25519.PublicKey {
	public, _ := s.ticketKey.Public().(ed25519.PublicKey) // documented to be one
	return public
}

// Tickets returns an order's tickets by number, whoever owns them now; none until it is
// ticketed. Those that are not void have their code.
func (s *Store) Tickets(ctx context.Context, order onsale.OrderID) ([]onsale.Ticket, error) {
	event, _, ok := order.Parse()
	if !ok {
		return nil, unknownOrder()
	}
	return s.readTickets(ctx, ticketColumnsRead+`WHERE event = $1 AND order_id = $2 ORDER BY number`,
		"read the tickets of "+string(order), string(event), string(order))
}

// Ticket returns a ticket of a buyer's, or refuses with CodeUnknownTicket.
func (s *Store) Ticket(ctx context.Context, id onsale.TicketID, owner onsale.BuyerID) (*onsale.Ticket, error) {
	row, ok := rowOf(id)
	if !ok {
		return nil, unknownTicket()
	}
	tickets, err := s.readTickets(ctx, readTicket, "read ticket "+string(id), row.event, row.order, row.number)
	if err != nil {
		return nil, err
	}
	if len(tickets) == 0 || tickets[0].Owner != owner {
		return nil, unknownTicket()
	}
	return &tickets[0], nil
}

// TicketsOf returns a page of the tickets that a buyer owns, void ones included, the
// latest issued first: 1 to MaxTicketsPage of them, from the cursor on that the page
// before returned, or from the start if it is "". next is "" on the last page. A cursor
// that isn't one is refused with CodeBadRequest.
func (s *Store) TicketsOf(ctx context.Context, owner onsale.BuyerID, limit int, cursor string) (tickets []onsale.Ticket, next string, err error) {
	limit = min(max(limit, 1), MaxTicketsPage)
	after, err := parseTicketCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	// One more than the page tells whether there is a next one.
	tickets, err = s.readTickets(ctx, ticketColumnsRead+
		`WHERE owner = $1 AND ($2::timestamptz IS NULL OR issued_at <= $2 AND (issued_at < $2 OR (order_id, number) > ($3, $4)))
		ORDER BY issued_at DESC, order_id, number LIMIT $5`, "list the tickets of a buyer", string(owner), after.issued, after.row.order, after.row.number, limit+1)
	if err == nil && len(tickets) > limit {
		tickets = tickets[:limit]
		next = formatTicketCursor(&tickets[limit-1])
	}
	return tickets, next, err
}

func (s *Store) readTickets(ctx context.Context, statement, doing string, args ...any) ([]onsale.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, failed(doing, err)
	}
	tickets, err := pgx.CollectRows(rows, scanTicket)
	if err != nil {
		return nil, failed(doing, err)
	}
	for i := range tickets {
		s.sign(&tickets[i])
	}
	return tickets, nil
}

// sign gives a ticket its code, unless it is void.
func (s *Store) sign(t *onsale.Ticket) {
	if t.State != onsale.TicketVoid {
		t.Sign(s.ticketKey)
	}
}

// scanTicket reads a row of ticketColumnsRead, without its code.
func scanTicket(row pgx.CollectableRow) (onsale.Ticket, error) {
	var t onsale.Ticket
	var number int
	err := row.Scan(&t.Order, &number, &t.Event, &t.Section, &t.Seat, &t.State, &t.Owner, &t.Serial, &t.IssuedAt, &t.AdmittedAt)
	t.ID, t.IssuedAt = t.Order.Ticket(number), t.IssuedAt.UTC()
	if t.AdmittedAt != nil {
		*t.AdmittedAt = t.AdmittedAt.UTC()
	}
	return t, err
}

// ticketPosition is where a page of a buyer's tickets begins.
type ticketPosition struct {
	issued *time.Time // nil: at the start
	row    ticketRow
}

func formatTicketCursor(last *onsale.Ticket) string {
	text := strconv.FormatInt(last.IssuedAt.UnixMicro(), 36) + " " + string(last.ID)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func parseTicketCursor(cursor string) (ticketPosition, error) {
	if cursor == "" {
		return ticketPosition{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	micros, id, _ := strings.Cut(string(text), " ")
	n, numberErr := strconv.ParseInt(micros, 36, 64)
	row, ok := rowOf(onsale.TicketID(id))
	if err != nil || numberErr != nil || !ok {
		return ticketPosition{}, onsale.Refuse(onsale.CodeBadRequest, "the cursor is not one that a page of tickets ended with: leave it out to start again")
	}
	at := time.UnixMicro(n)
	return ticketPosition{&at, row}, nil
}

func unknownTicket() error {
	return onsale.Refuse(onsale.CodeUnknownTicket, "there is no such ticket of yours")
}
