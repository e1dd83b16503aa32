package persist

// What the reconciler finds in the book and mends there. Postgres's own transactions
// leave none of it; what does is a mistake in the code, or a hand on the tables.

import (
	"context"
	"slices"

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
