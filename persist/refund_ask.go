package persist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/crashpoint"
)

// AskRefund notes that an operator wants money of an order paid back, and blocks the
// tickets that it ends. Asking again under the same key returns the same refund, as it is
// by then. It never waits for the provider.
//
// Refusals: bad_request, see RefundRequest.Complete, or a number or an amount that the
// order or its payment hasn't; unknown_order; key_reused, for something else under the key;
// ambiguous_refund, if several payments could be meant and none is named; not_refundable.
func (s *Store) AskRefund(ctx context.Context, order onsale.OrderID, key string, ask onsale.RefundRequest) (*onsale.RefundEntry, error) {
	event, _, ok := order.Parse()
	if !ok {
		return nil, unknownOrder()
	}
	if key == "" || len(key) > onsale.MaxKeyLength {
		return nil, onsale.Refuse(onsale.CodeBadRequest, "a refund needs an Idempotency-Key of 1 to 255 bytes: asked again under it, it is made once")
	}
	if err := ask.Complete(); err != nil {
		return nil, err
	}
	asked, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("encode a refund of %s: %w", order, err)
	}
	var entry *onsale.RefundEntry
	err = s.inTx(ctx, "ask for a refund of "+string(order), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		o, err := lockOrder(ctx, tx, order)
		if err != nil {
			return err
		}
		if entry, err = askedBefore(ctx, tx, order, key, asked); err != nil || entry != nil {
			return err
		}
		payments, err := paymentsOf(ctx, tx, event, order)
		if err != nil {
			return err
		}
		if len(payments) == 0 && o == nil {
			return unknownOrder()
		}
		p, err := refundable(payments, ask)
		if err != nil {
			return err
		}
		r, err := s.decideRefund(ctx, tx, p, order, ask)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, readClock).Scan(&r.AskedAt); err != nil {
			return err
		}
		r.AskedAt = r.AskedAt.UTC()
		entry = &r.RefundEntry
		if err := insertRefund(ctx, tx, r, key, asked); err != nil {
			return err
		}
		return setTickets(ctx, tx, r, onsale.TicketValid, onsale.TicketBlocked)
	})
	if err != nil {
		return nil, err
	}
	crashpoint.Reach(crashpoint.AfterRefundCommit)
	return entry, nil
}

// askedBefore finds the refund that was asked for under a key; nil if none was.
func askedBefore(ctx context.Context, tx pgx.Tx, order onsale.OrderID, key string, asked []byte) (*onsale.RefundEntry, error) {
	var same bool
	err := tx.QueryRow(ctx, `SELECT asked = $3::jsonb FROM refunds WHERE order_id = $1 AND key = $2 AND key <> ''`, string(order), key, asked).Scan(&same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // none was asked for, which is no error
	case err != nil:
		return nil, err
	case !same:
		return nil, onsale.Refuse(onsale.CodeKeyReused, "another refund was asked for under this Idempotency-Key: use a new one")
	}
	rows, err := tx.Query(ctx, readRefunds+`WHERE order_id = $1 AND key = $2 AND key <> ''`, string(order), key)
	if err != nil {
		return nil, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRefund)
	if err != nil {
		return nil, err
	}
	return &r.RefundEntry, nil
}

// decideRefund makes the row of what is asked for, or refuses.
func (s *Store) decideRefund(ctx context.Context, tx pgx.Tx, p *heldPayment, order onsale.OrderID, ask onsale.RefundRequest) (*refundRow, error) {
	event, _, _ := order.Parse() // AskRefund has
	var due bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM refunds WHERE event = $1 AND order_id = $2 AND payment = $3 AND state = 'due')`,
		string(event), string(order), p.reference).Scan(&due); err != nil {
		return nil, err
	}
	if due {
		return nil, notRefundable("another refund of it is under way: ask again when that has ended")
	}
	layout, err := s.Layout(ctx, event)
	if err != nil && onsale.CodeOf(err) != onsale.CodeUnknownEvent { // a stray's may be
		return nil, err
	}
	var admissions []admission
	if p.state == paymentSettled {
		if admissions, err = admissionsOf(ctx, tx, event, order); err != nil {
			return nil, err
		}
	}
	tickets, amount, err := refundTerms(layout, admissions, p.left, ask)
	if err != nil {
		return nil, err
	}
	return &refundRow{event: event, askedBy: askedByOperator, RefundEntry: onsale.RefundEntry{
		ID: onsale.NewRefundID(), Order: order, Payment: p.reference, State: onsale.RefundStateDue, Tickets: tickets, Amount: amount, Currency: p.currency, Reason: ask.Reason}}, nil
}

// refundTerms is what a request comes to: which tickets end, and how much is paid back.
// Whoever gives back the last ticket gets what is left, and only they: so an order has
// tickets or its money, never neither, never both.
func refundTerms(layout *onsale.Layout, admissions []admission, left int64, ask onsale.RefundRequest) (tickets []int, amount int64, err error) {
	valid := []int{}
	price := int64(0)
	for _, a := range admissions {
		if a.state != onsale.TicketValid {
			continue
		}
		valid = append(valid, a.number)
		if slices.Contains(ask.Tickets, a.number) {
			price += layout.Section(a.section).Price
		}
	}
	for _, n := range ask.Tickets {
		if !slices.Contains(valid, n) {
			return nil, 0, onsale.Refuse(onsale.CodeBadRequest, fmt.Sprintf("the order has no valid ticket %d: its valid ones are %v", n, valid))
		}
	}
	for _, a := range admissions {
		if a.used && a.state == onsale.TicketValid && ends(ask, a.number) {
			// Whoever was admitted is inside: the place can't be sold again.
			return nil, 0, notRefundable(fmt.Sprintf("ticket %d was used: pay money back alone, as an amount", a.number))
		}
	}
	switch {
	case ask.Amount != nil && *ask.Amount >= left:
		return nil, 0, notRefundable(fmt.Sprintf("%d are left to pay back: an amount alone must be less; for all of it refund the whole", left))
	case ask.Amount != nil:
		return []int{}, *ask.Amount, nil
	case len(ask.Tickets) == 0 && len(valid) == 0 && left == 0:
		return nil, 0, notRefundable("nothing of it is left to pay back")
	case len(ask.Tickets) == 0 || len(ask.Tickets) == len(valid):
		return valid, left, nil
	case price >= left && price > 0:
		return nil, 0, notRefundable(fmt.Sprintf("%d are left to pay back, and these tickets cost %d: give an amount, or refund the whole", left, price))
	}
	return ask.Tickets, price, nil
}

// ends reports whether a refund ends an admission.
func ends(ask onsale.RefundRequest, number int) bool {
	return ask.Amount == nil && (len(ask.Tickets) == 0 || slices.Contains(ask.Tickets, number))
}

func insertRefund(ctx context.Context, tx pgx.Tx, r *refundRow, key string, asked []byte) error {
	_, err := tx.Exec(ctx, `INSERT INTO refunds (id, event, order_id, payment, asked_by, key, asked, tickets, amount, currency, reason, next_at, asked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)`,
		string(r.ID), string(r.event), string(r.Order), r.Payment, r.askedBy, key, asked, r.Tickets, r.Amount, r.Currency, r.Reason, r.AskedAt)
	return err
}

// strayRefunds are the rows of what is paid back without being asked for: each capture
// that bought nothing, whole. They are written with their payments.
const strayRefunds = `INSERT INTO refunds (id, event, order_id, payment, asked_by, asked, tickets, amount, currency, reason, next_at, asked_at)
	SELECT u.id, p.event, p.order_id, p.reference, 'settlement', '{}', '{}', p.amount, p.currency, p.reason, $5, $5
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (id, event, order_id, reference)
	JOIN payments p ON p.event = u.event AND p.order_id = u.order_id AND p.reference = u.reference
	WHERE p.state = 'refund_due' ORDER BY p.event, p.order_id, p.reference ON CONFLICT DO NOTHING`

// payBack queues the refunds of the captures that bought nothing.
func (c *paymentColumns) payBack(q *pgx.Batch, now time.Time) {
	var ids, events, orders, references []string
	for i, state := range c.states {
		if state == paymentRefundDue {
			ids, events = append(ids, string(onsale.NewRefundID())), append(events, c.events[i])
			orders, references = append(orders, c.orders[i]), append(references, c.references[i])
		}
	}
	if len(ids) > 0 {
		q.Queue(strayRefunds, ids, events, orders, references, now)
	}
}

func notRefundable(detail string) error { return onsale.Refuse(onsale.CodeNotRefundable, detail) }
