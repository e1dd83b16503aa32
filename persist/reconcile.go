package persist

// What the reconciler finds in the book and mends there. Postgres's own transactions
// leave none of it; what does is a mistake in the code, or a hand on the tables.

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

const (
	// orphanClaims are the claims of an event whose order is unknown, or has ended without them.
	orphanClaims = `SELECT c.order_id, c.section FROM claims c LEFT JOIN orders o ON o.id = c.order_id AND o.event = $1
		WHERE c.event = $1 AND (o.id IS NULL OR o.state NOT IN ` + withClaim + `) GROUP BY c.order_id, c.section ORDER BY 1, 2 LIMIT $2`
	// wrongCounters are sections whose counter isn't what their claims add up to.
	wrongCounters = `SELECT s.section FROM sections s
		WHERE s.event = $1 AND s.claimed <> (SELECT coalesce(sum(c.quantity), 0) FROM claims c WHERE c.event = s.event AND c.section = s.section)
		ORDER BY s.section`
	dropOrphans = `DELETE FROM claims c WHERE c.event = $1 AND c.order_id = ANY ($2::text[])
		AND NOT EXISTS (SELECT FROM orders o WHERE o.id = c.order_id AND o.state IN ` + withClaim + `) RETURNING c.order_id`
	recountSections = `UPDATE sections s SET claimed = (SELECT coalesce(sum(c.quantity), 0) FROM claims c WHERE c.event = s.event AND c.section = s.section)
		WHERE s.event = $1 AND s.section = ANY ($2::text[])`

	// maxMended is how many orders' claims one transaction drops. More wait for the next round.
	maxMended = 500
)

// MendClaims drops the claims of an event that no live order has, and sets the sections'
// counters right: what nobody owns can be sold again. It returns how many orders' claims
// and how many counters that were. Several at once are safe: each looks again at what it
// mends, with the orders and the sections locked as who claims and finalises locks them.
func (s *Store) MendClaims(ctx context.Context, event onsale.EventID) (claims, counters int64, err error) {
	err = s.inTx(ctx, "mend the claims of "+string(event), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		claims, counters = 0, 0
		orders, sections, err := findOrphans(ctx, tx, event)
		if err != nil || len(sections) == 0 {
			return err
		}
		var q pgx.Batch
		q.Queue(lockBooked, orders)
		events := make([]string, len(sections))
		for i := range events {
			events[i] = string(event)
		}
		q.Queue(lockSections, events, sections)
		if err := send(ctx, tx, &q); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, wrongCounters, string(event))
		if err != nil {
			return err
		}
		wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		dropped, err := tx.Query(ctx, dropOrphans, string(event), orders)
		if err != nil {
			return err
		}
		freed, err := pgx.CollectRows(dropped, pgx.RowTo[string])
		if err != nil {
			return err
		}
		slices.Sort(freed)
		claims, counters = int64(len(slices.Compact(freed))), int64(len(wrong))
		_, err = tx.Exec(ctx, recountSections, string(event), sections)
		return err
	})
	return claims, counters, err
}

// findOrphans returns the orders of orphan claims, and the sections that they or wrong
// counters are of.
func findOrphans(ctx context.Context, tx pgx.Tx, event onsale.EventID) (orders, sections []string, err error) {
	rows, err := tx.Query(ctx, orphanClaims, string(event), maxMended)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	var order, section string
	add := func(into *[]string, text string) {
		if !seen[text] {
			seen[text] = true
			*into = append(*into, text)
		}
	}
	if _, err = pgx.ForEachRow(rows, []any{&order, &section}, func() error {
		add(&orders, order)
		add(&sections, section)
		return nil
	}); err != nil {
		return nil, nil, err
	}
	if rows, err = tx.Query(ctx, wrongCounters, string(event)); err != nil {
		return nil, nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&section}, func() error { add(&sections, section); return nil })
	return orders, sections, err
}

// LostCharges returns the charges of an event's orders that were claimed longer ago than
// the age and have no answer: at the most `most` of them. Each is returned again after
// twice as long as before, a day at the most, for as long as it has none.
func (s *Store) LostCharges(ctx context.Context, event onsale.EventID, age time.Duration, most int) ([]onsale.Charge, error) {
	var charges []onsale.Charge
	err := s.inTx(ctx, "find the lost charges of "+string(event), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		charges = nil
		rows, err := tx.Query(ctx, `WITH lost AS (
				SELECT o.id FROM orders o LEFT JOIN charge_reminders r ON r.order_id = o.id
				WHERE o.event = $1 AND o.state = 'claimed' AND o.updated_at < clock_timestamp() - $2::interval AND coalesce(r.next_at, '-infinity') <= clock_timestamp()
				ORDER BY o.id LIMIT $3)
			INSERT INTO charge_reminders AS r (order_id, times, next_at) SELECT id, 1, clock_timestamp() + $2::interval FROM lost
			ON CONFLICT (order_id) DO UPDATE SET times = r.times + 1, next_at = clock_timestamp() + least(interval '1 day', $2::interval * 2 ^ least(r.times, 20))
				WHERE r.next_at <= clock_timestamp()
			RETURNING order_id`, string(event), age, most)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		if rows, err = tx.Query(ctx, readBooked, ids); err != nil {
			return err
		}
		lost := map[onsale.OrderID]*bookedOrder{}
		if err := collectBooked(rows, lost); err != nil {
			return err
		}
		for _, o := range lost {
			if o.State == onsale.OrderClaimed {
				charges = append(charges, o.charge())
			}
		}
		return nil
	})
	return charges, err
}
