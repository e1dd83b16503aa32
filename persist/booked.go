package persist

import (
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// bookedOrder is an order as settlement works with it: with what its charge needs.
type bookedOrder struct {
	onsale.Order
	paymentToken string
}

const (
	bookedColumns = `SELECT id, event, buyer, state, reason, lines, amount, currency, payment_token, accepted_at, updated_at FROM orders `
	readBooked    = bookedColumns + `WHERE id = ANY ($1::text[])`
	lockBooked    = bookedColumns + `WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE`
)

// withClaim are the states in which an order owns inventory, as SQL has them. The same as
// onsale.OrderState.HasClaim; a test holds the two equal.
const withClaim = `('claimed', 'paid', 'ticketed')`

func newBooked(p *onsale.Purchase, state onsale.OrderState, reason string, now time.Time) *bookedOrder {
	return &bookedOrder{paymentToken: p.PaymentToken, Order: onsale.Order{
		ID: p.Order, Hold: p.Order.Hold(), Event: p.Event, Buyer: p.Buyer, State: state, Reason: reason,
		Lines: p.Lines, Amount: p.Amount, Currency: p.Currency, AcceptedAt: p.At, UpdatedAt: now,
	}}
}

// charge is the request for the order's money. It is the same however often it is
// made, which is what makes its repetition harmless.
func (o *bookedOrder) charge() onsale.Charge {
	return onsale.Charge{Order: o.ID, Event: o.Event, Amount: o.Amount, Currency: o.Currency, PaymentToken: o.paymentToken, At: o.UpdatedAt}
}

func collectBooked(rows pgx.Rows, into map[onsale.OrderID]*bookedOrder) error {
	orders, err := pgx.CollectRows(rows, scanBooked)
	for _, o := range orders {
		into[o.ID] = o
	}
	return err
}

func scanBooked(row pgx.CollectableRow) (*bookedOrder, error) {
	var o bookedOrder
	var lines string
	err := row.Scan(&o.ID, &o.Event, &o.Buyer, &o.State, &o.Reason, &lines, &o.Amount, &o.Currency, &o.paymentToken, &o.AcceptedAt, &o.UpdatedAt)
	if err == nil {
		o.Lines, err = onsale.ParseLines(lines)
	}
	o.Hold, o.AcceptedAt, o.UpdatedAt = o.ID.Hold(), o.AcceptedAt.UTC(), o.UpdatedAt.UTC()
	return &o, err
}
