package persist

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/crashpoint"
)

// EndRefund writes what the provider answered. Made, the tickets are void and their
// inventory anyone's, and an order of which nothing is left is refunded; the news to be
// told are returned. Refused, the tickets are valid again, and there is no news, nor is
// there of what bought nothing. A repeat changes nothing and returns the order's news as
// they are by then: the first answer counts. An unknown id is an error.
func (s *Store) EndRefund(ctx context.Context, result onsale.RefundResult) (news *onsale.OrderNews, err error) {
	err = s.inTx(ctx, "end refund "+string(result.ID), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		news = nil
		e := &ending{tx: tx, result: result}
		if err := e.lock(ctx); err != nil {
			return err
		}
		if e.refund.State == onsale.RefundStateDue {
			if err := e.end(ctx); err != nil {
				return err
			}
		}
		if e.refund.State == onsale.RefundStateMade && e.settles {
			n := e.order.News()
			n.Left, err = e.left(ctx)
			news = &n
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	crashpoint.Reach(crashpoint.AfterPaidBackCommit)
	return news, nil
}

// ending is a refund on its way to its end.
type ending struct {
	tx     pgx.Tx
	result onsale.RefundResult
	now    time.Time // by Postgres's clock

	refund  *refundRow
	order   *bookedOrder // nil if the book has none
	settles bool         // the refund is of the payment that bought the order's tickets
}

// lock finds the refund, and locks its order and it.
func (e *ending) lock(ctx context.Context) (err error) {
	var order, event, payment string
	err = e.tx.QueryRow(ctx, `SELECT order_id, event, payment FROM refunds WHERE id = $1`, string(e.result.ID)).Scan(&order, &event, &payment)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("there is no refund %q", e.result.ID)
	}
	if err != nil {
		return err
	}
	if e.order, err = lockOrder(ctx, e.tx, onsale.OrderID(order)); err != nil {
		return err
	}
	rows, err := e.tx.Query(ctx, readRefunds+`WHERE id = $1 FOR UPDATE`, string(e.result.ID))
	if err != nil {
		return err
	}
	if e.refund, err = pgx.CollectExactlyOneRow(rows, scanRefund); err != nil {
		return err
	}
	// What bought nothing says why.
	if err := e.tx.QueryRow(ctx, `SELECT reason = '' FROM payments WHERE event = $1 AND order_id = $2 AND reference = $3`, event, order, payment).Scan(&e.settles); err != nil {
		return err
	}
	return e.tx.QueryRow(ctx, readClock).Scan(&e.now)
}

// end moves a refund that is due to its end.
func (e *ending) end(ctx context.Context) error {
	r := e.refund
	r.State, r.EndedAt = onsale.RefundState(e.result.Outcome), e.now.UTC()
	refused := r.State == onsale.RefundStateRefused
	if refused {
		r.Refusal, r.Reference = e.result.Reason, ""
	} else {
		r.Refusal, r.Reference = "", e.result.Reference
	}
	// Who refuses has nothing to tell; neither has what bought nothing.
	quiet := refused || !e.settles
	if _, err := e.tx.Exec(ctx, `UPDATE refunds SET state = $2, reference = $3, refusal = $4, ended_at = $5,
		told_at = CASE WHEN $6 THEN $5::timestamptz END,
		next_at = CASE WHEN NOT $6 THEN $5 WHEN $2 = 'made' THEN $5 + $7 ELSE 'infinity' END WHERE id = $1`,
		string(r.ID), string(r.State), r.Reference, r.Refusal, r.EndedAt, quiet, firstLook); err != nil {
		return err
	}
	if refused {
		return setTickets(ctx, e.tx, r, onsale.TicketBlocked, onsale.TicketValid)
	}
	if err := setTickets(ctx, e.tx, r, onsale.TicketBlocked, onsale.TicketVoid); err != nil {
		return err
	}
	if err := e.dropClaims(ctx); err != nil {
		return err
	}
	return e.close(ctx)
}

// dropClaims gives back the inventory of the tickets that are void now.
func (e *ending) dropClaims(ctx context.Context) error {
	if len(e.refund.Tickets) == 0 {
		return nil
	}
	dropped := map[place]int64{}
	admissions, err := admissionsOf(ctx, e.tx, e.refund.event, e.refund.Order)
	if err != nil {
		return err
	}
	ended := map[int]bool{}
	for _, n := range e.refund.Tickets {
		ended[n] = true
	}
	var seatSections, seats []string
	general := map[string]int64{}
	for _, a := range admissions {
		if !ended[a.number] {
			continue
		}
		dropped[place{string(e.refund.event), a.section}]++
		if a.seat == "" {
			general[a.section]++
		} else {
			seatSections, seats = append(seatSections, a.section), append(seats, a.seat)
		}
	}
	event, order, sections := string(e.refund.event), string(e.refund.Order), sectionsOf(dropped)
	var q pgx.Batch
	q.Queue(lockSections, sections.events, sections.sections)
	q.Queue(`DELETE FROM claims c USING unnest($3::text[], $4::text[]) AS u (section, seat)
		WHERE c.event = $1 AND c.order_id = $2 AND c.section = u.section AND c.seat = u.seat AND c.seat <> ''`, event, order, seatSections, seats)
	for section, n := range general {
		q.Queue(`DELETE FROM claims WHERE event = $1 AND order_id = $2 AND section = $3 AND seat = '' AND quantity <= $4`, event, order, section, n)
		q.Queue(`UPDATE claims SET quantity = quantity - $4 WHERE event = $1 AND order_id = $2 AND section = $3 AND seat = ''`, event, order, section, n)
	}
	q.Queue(subtractClaimed, sections.events, sections.sections, sections.quantities)
	return send(ctx, e.tx, &q)
}

// close ends the payment of which all was paid back and, with its last ticket, the order.
func (e *ending) close(ctx context.Context) error {
	r := e.refund
	event, order := string(r.event), string(r.Order)
	var paidBack, ticketsLeft bool
	if err := e.tx.QueryRow(ctx, `SELECT paying_back = amount, EXISTS (SELECT FROM tickets WHERE event = $1 AND order_id = $2 AND state <> 'void')
		FROM payments WHERE event = $1 AND order_id = $2 AND reference = $3`, event, order, r.Payment).Scan(&paidBack, &ticketsLeft); err != nil {
		return err
	}
	if !paidBack || e.settles && ticketsLeft {
		return nil
	}
	if _, err := e.tx.Exec(ctx, `UPDATE payments SET state = 'refunded' WHERE event = $1 AND order_id = $2 AND reference = $3`, event, order, r.Payment); err != nil {
		return err
	}
	if !e.settles || e.order.State == onsale.OrderRefunded { // refunded before, by what has failed since
		return nil
	}
	if r.askedBy == askedByOperator { // whoever has the provider pay does it in their name
		if err := introduce(As(ctx, onsale.ActorOperator), e.tx); err != nil {
			return err
		}
	}
	e.order.State, e.order.Reason, e.order.UpdatedAt = onsale.OrderRefunded, r.Reason, e.now.UTC()
	_, err := e.tx.Exec(ctx, `UPDATE orders SET state = 'refunded', reason = $2, updated_at = $3 WHERE id = $1`, order, r.Reason, e.now)
	return err
}

// left is what an order still has, if that is some of its lines and not all.
func (e *ending) left(ctx context.Context) ([]onsale.Line, error) {
	rows, err := e.tx.Query(ctx, `SELECT section, seat, quantity FROM claims WHERE event = $1 AND order_id = $2 ORDER BY section, seat`,
		string(e.refund.event), string(e.refund.Order))
	if err != nil {
		return nil, err
	}
	var lines []onsale.Line
	var section, seat string
	var quantity int
	_, err = pgx.ForEachRow(rows, []any{&section, &seat, &quantity}, func() error {
		lines = addClaim(lines, section, seat, quantity)
		return nil
	})
	if err != nil || onsale.Quantity(lines) == onsale.Quantity(e.order.Lines) {
		return nil, err
	}
	return lines, nil
}
