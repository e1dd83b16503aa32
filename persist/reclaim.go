package persist

// A late payment is captured for an order that the provider had declined. The buyer has
// paid, so they get what they paid for if nobody else has any of it; else their money
// back, whole. Which it is, is decided as a claim is: with the sections locked, on the
// shelf. Declined → claimed → paid → ticketed is one transaction, and its history says
// late_payment; Redis follows when the order is confirmed, and owes it if someone holds
// some of it there.
//
// It has a transaction of its own, after the batch's: sections are locked after orders,
// all at once, and a batch doesn't know which it needs before it is judged. A crash between
// the two leaves what the batch's repeat finds.

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/crashpoint"
)

// reclaiming is what late payments may have, and what they take. The zero value is of a
// batch that has none.
type reclaiming struct {
	shelf    *shelf
	orders   []string
	claims   claimColumns
	sections map[place]int64
}

// reclaim judges the late answers of a batch, given by their indexes.
func (s *Store) reclaim(ctx context.Context, results []onsale.ChargeResult, late []int) (news []onsale.OrderNews, strays []Stray, err error) {
	var events, ids []string
	for _, i := range late {
		if id := string(results[i].Order); !slices.Contains(ids, id) { // they are few
			events, ids = append(events, string(results[i].Event)), append(ids, id)
		}
	}
	err = s.inTx(ctx, "finalise late payments", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		c := newClosing()
		if err := c.lock(ctx, tx, events, ids); err != nil {
			return err
		}
		if err := c.lockShelf(ctx, tx); err != nil {
			return err
		}
		for _, i := range late {
			c.apply(i, &results[i])
		}
		c.issue()
		news, strays = c.news(ids), c.strays
		if err := c.write(ctx, tx); err != nil {
			return err
		}
		crashpoint.Reach(crashpoint.BeforeReclaimCommit)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	crashpoint.Reach(crashpoint.AfterReclaimCommit)
	return news, strays, nil
}

// lockShelf locks the sections of all the batch's orders, and reads what is left of them.
func (c *closing) lockShelf(ctx context.Context, tx pgx.Tx) error {
	c.again = reclaiming{shelf: newShelf(), sections: map[place]int64{}}
	wanted, seats := map[place]int64{}, &claimColumns{}
	for _, o := range c.orders {
		addLines(wanted, o.Event, o.Lines)
		seats.add(o.Event, o.ID, o.Lines)
	}
	sections := sectionsOf(wanted)
	var q pgx.Batch
	c.again.shelf.queue(&q, &sections, seats)
	return send(ctx, tx, &q)
}

// claimAgain is the verdict on a late payment: the order has everything, or nothing.
func (c *closing) claimAgain(o *bookedOrder) verdict {
	if !c.again.shelf.take(o.Event, o.Lines) {
		return verdict{payment: paymentRefundDue, stray: ReasonOrderEnded, tell: true}
	}
	o.State, o.Reason = onsale.OrderClaimed, onsale.ReasonLatePayment
	c.again.orders = append(c.again.orders, string(o.ID))
	c.again.claims.add(o.Event, o.ID, o.Lines)
	addLines(c.again.sections, o.Event, o.Lines)
	return verdict{next: onsale.OrderTicketed, payment: paymentSettled, tell: true}
}

// queue writes what late payments claim, before their orders are paid.
func (r *reclaiming) queue(q *pgx.Batch, now time.Time) {
	if len(r.orders) == 0 {
		return
	}
	sections := sectionsOf(r.sections)
	q.Queue(`UPDATE orders SET state = 'claimed', reason = $2, updated_at = $3 WHERE id = ANY ($1::text[])`, r.orders, onsale.ReasonLatePayment, now)
	q.Queue(insertClaims, r.claims.events, r.claims.orders, r.claims.sections, r.claims.seats, r.claims.quantities)
	q.Queue(addClaimed, sections.events, sections.sections, sections.quantities)
}
