package persist

import (
	"context"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// StockView is everything of an event that Redis is rebuilt from, as of one moment.
type StockView struct {
	Event *onsale.Event
	// Orders are those with a live claim: claimed or paid ones were pinned holds,
	// ticketed ones sold. Their lines are what they own, sorted by section and seat.
	Orders []onsale.Order
	// Refunded are those that were ticketed and paid back whole, with the lines that they had.
	Refunded []onsale.Order
}

// StockView reads the live claims of an event in one snapshot, or refuses with
// CodeUnknownEvent. The claims are read, not what the orders once asked for:
// whatever is rebuilt from it can't sell a seat that someone owns.
func (s *Store) StockView(ctx context.Context, id onsale.EventID) (*StockView, error) {
	view := &StockView{}
	err := s.inTx(ctx, "read the stock of "+string(id), snapshot, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, eventColumns+`WHERE id = $1`, string(id))
		if err != nil {
			return err
		}
		events, err := pgx.CollectRows(rows, scanEvent)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return unknownEvent(id)
		}
		view.Event = events[0]
		if view.Orders, err = readClaimants(ctx, tx, id); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, orderColumnsRead+`WHERE event = $1 AND state = 'refunded' AND id IN (SELECT order_id FROM refunds WHERE event = $1) ORDER BY id`, string(id))
		if err != nil {
			return err
		}
		view.Refunded, err = pgx.CollectRows(rows, scanOrder)
		return err
	})
	if err != nil {
		return nil, err
	}
	return view, nil
}

func readClaimants(ctx context.Context, tx pgx.Tx, event onsale.EventID) ([]onsale.Order, error) {
	rows, err := tx.Query(ctx, `SELECT c.order_id, o.buyer, o.state, o.amount, o.currency, o.accepted_at, o.updated_at, c.section, c.seat, c.quantity
		FROM claims c JOIN orders o ON o.id = c.order_id
		WHERE c.event = $1 AND o.state IN `+withClaim+` ORDER BY c.order_id, c.section, c.seat`, string(event))
	if err != nil {
		return nil, err
	}
	var orders []onsale.Order
	var o onsale.Order
	var section, seat string
	var quantity int
	_, err = pgx.ForEachRow(rows, []any{&o.ID, &o.Buyer, &o.State, &o.Amount, &o.Currency, &o.AcceptedAt, &o.UpdatedAt, &section, &seat, &quantity}, func() error {
		if n := len(orders); n == 0 || orders[n-1].ID != o.ID {
			o.Event, o.Hold, o.Lines = event, o.ID.Hold(), nil
			o.AcceptedAt, o.UpdatedAt = o.AcceptedAt.UTC(), o.UpdatedAt.UTC()
			orders = append(orders, o)
		}
		last := &orders[len(orders)-1]
		last.Lines = addClaim(last.Lines, section, seat, quantity)
		return nil
	})
	return orders, err
}

// addClaim adds one claim to the lines of its order. Claims come sorted by section.
func addClaim(lines []onsale.Line, section, seat string, quantity int) []onsale.Line {
	if n := len(lines); n == 0 || lines[n-1].Section != section {
		lines = append(lines, onsale.Line{Section: section})
	}
	last := &lines[len(lines)-1]
	last.Quantity += quantity
	if seat != "" {
		last.Seats = append(last.Seats, seat)
	}
	return lines
}
