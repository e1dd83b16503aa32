package persist

// Paying back. The promises: never more than was captured, never twice for one request,
// never a ticket that both admits and was paid back; and whoever asked is not kept
// waiting for the provider. So a refund is a row before it is anything else:
//
//	AskRefund    the row is due, its tickets are blocked         one transaction
//	             the provider pays back, under the row's id      checkout's Refunder
//	EndRefund    made: tickets void, claims dropped, the order   one transaction
//	             refunded if nothing of it is left
//	             refused: the tickets are valid again
//	             Redis and Kafka are told                        checkout's Refunder
//	RefundTold   the row is done with                            one statement
//
//	dies …                               is left                  happens
//	before the first COMMIT              nothing                  the operator asks again, under the same key
//	after it, before the answer          a refund that is due     the same, which finds it; a worker has it meanwhile
//	before or after the provider paid    a refund that is due     asked again under its id, which pays back once
//	before the COMMIT of the end         a refund that is due     the same
//	after it, before all were told       a refund not told        told again: both take it as often as it comes
//	before it is done with               a refund not told        the same
//
// What was made may fail later (refund_fail.go).
//
// Who works on an order's refunds holds the order's row, if there is one, then the
// payment's, then those of sections, as whoever finalises does.

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// The words of the table's columns.
const (
	askedByOperator   = "operator"
	askedBySettlement = "settlement" // for what was captured and bought nothing
)

// refundRow is a refund with what only the book needs of it.
type refundRow struct {
	onsale.RefundEntry
	event    onsale.EventID
	askedBy  string
	attempts int
	toldAt   *time.Time
}

const (
	// refundColumns are what scanRefund takes, in its order.
	refundColumns = `id, order_id, event, payment, asked_by, tickets, amount, currency, reason, state, reference, refusal,
		attempts, asked_at, ended_at, told_at`
	readRefunds = `SELECT ` + refundColumns + ` FROM refunds `
)

func scanRefund(row pgx.CollectableRow) (*refundRow, error) {
	var r refundRow
	var tickets []int32
	var ended *time.Time
	err := row.Scan(&r.ID, &r.Order, &r.event, &r.Payment, &r.askedBy, &tickets, &r.Amount, &r.Currency, &r.Reason, &r.State, &r.Reference, &r.Refusal,
		&r.attempts, &r.AskedAt, &ended, &r.toldAt)
	r.Tickets = make([]int, len(tickets))
	for i, n := range tickets {
		r.Tickets[i] = int(n)
	}
	r.AskedAt = r.AskedAt.UTC()
	if ended != nil {
		r.EndedAt = ended.UTC()
	}
	return &r, err
}

// Refunds returns the refunds of an order, those of its strays included, oldest first.
// They are few: one at a time of a payment.
func (s *Store) Refunds(ctx context.Context, order onsale.OrderID) ([]onsale.RefundEntry, error) {
	event, _, ok := order.Parse()
	if !ok {
		return nil, unknownOrder()
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, readRefunds+`WHERE event = $1 AND order_id = $2 ORDER BY asked_at, id`, string(event), string(order))
	if err != nil {
		return nil, failed("read the refunds of "+string(order), err)
	}
	found, err := pgx.CollectRows(rows, scanRefund)
	if err != nil {
		return nil, failed("read the refunds of "+string(order), err)
	}
	refunds := make([]onsale.RefundEntry, len(found))
	for i, r := range found {
		refunds[i] = r.RefundEntry
	}
	return refunds, nil
}

// OpenRefunds is how many refunds of an event are due, or made and not told yet.
func (s *Store) OpenRefunds(ctx context.Context, event onsale.EventID) (open int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM refunds WHERE event = $1 AND told_at IS NULL`, string(event)).Scan(&open)
	if err != nil {
		return 0, failed("count the open refunds", err)
	}
	return open, nil
}

// lockOrder locks an order and returns it; nil if the book has none.
func lockOrder(ctx context.Context, tx pgx.Tx, id onsale.OrderID) (*bookedOrder, error) {
	rows, err := tx.Query(ctx, lockBooked, []string{string(id)})
	if err != nil {
		return nil, err
	}
	found := map[onsale.OrderID]*bookedOrder{}
	if err := collectBooked(rows, found); err != nil {
		return nil, err
	}
	return found[id], nil
}

// admission is a ticket as a refund sees it.
type admission struct {
	number        int
	section, seat string
	state         onsale.TicketState
	used          bool // somebody was admitted with it
}

// admissionsOf reads an order's tickets, locked, by number.
func admissionsOf(ctx context.Context, tx pgx.Tx, event onsale.EventID, order onsale.OrderID) ([]admission, error) {
	rows, err := tx.Query(ctx, `SELECT number, section, seat, state, admitted_at IS NOT NULL FROM tickets WHERE event = $1 AND order_id = $2 ORDER BY number FOR UPDATE`,
		string(event), string(order))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a admission, err error) {
		err = row.Scan(&a.number, &a.section, &a.seat, &a.state, &a.used)
		return a, err
	})
}

// setTickets moves an order's tickets from one state to another. Others of the numbers
// are a defect, which undoes the transaction.
func setTickets(ctx context.Context, tx pgx.Tx, r *refundRow, from, to onsale.TicketState) error {
	if len(r.Tickets) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, `UPDATE tickets SET state = $4 WHERE event = $1 AND order_id = $2 AND number = ANY ($3::integer[]) AND state = $5`,
		string(r.event), string(r.Order), r.Tickets, string(to), string(from))
	if err == nil && tag.RowsAffected() != int64(len(r.Tickets)) {
		err = errOvertaken
	}
	return err
}
