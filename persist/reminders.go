package persist

// Charges that are asked for again. Taking one only lends it, for as long as producing it may
// take: that it was asked for is noted after Kafka has it. A crash between the two has it
// taken again when the loan ends, and asked for once more, under the same key. What was
// noted first would be asked for ever less often without ever having been.

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

const (
	// reminderLoan is for how long a charge is its taker's.
	reminderLoan = time.Minute

	takeLost = `WITH lost AS (
			SELECT o.id FROM orders o LEFT JOIN charge_reminders r ON r.order_id = o.id
			WHERE o.event = $1 AND o.state = 'claimed' AND o.updated_at < clock_timestamp() - $2::interval AND coalesce(r.next_at, '-infinity') <= clock_timestamp()
			ORDER BY o.id LIMIT $3)
		INSERT INTO charge_reminders AS r (order_id, times, next_at) SELECT id, 1, clock_timestamp() + $4::interval FROM lost
		ON CONFLICT (order_id) DO UPDATE SET next_at = excluded.next_at WHERE r.next_at <= clock_timestamp()
		RETURNING order_id`
	// times counts the next time already.
	noteReminded = `UPDATE charge_reminders SET times = times + 1, next_at = clock_timestamp() + least(interval '1 day', $2::interval * 2 ^ least(times - 1, 20))
		WHERE order_id = ANY ($1::text[])`
	forgetReminders = `DELETE FROM charge_reminders WHERE order_id = ANY (ARRAY(
		SELECT r.order_id FROM charge_reminders r WHERE NOT coalesce((SELECT o.state = 'claimed' FROM orders o WHERE o.id = r.order_id), false)
		ORDER BY r.order_id LIMIT $1 FOR UPDATE OF r SKIP LOCKED))`
)

// LostCharges returns the charges of an event's orders that were claimed longer ago than
// the age and have no answer: at the most `most` of them. They are the caller's for a
// minute, to be asked for again and then noted with ChargesReminded.
func (s *Store) LostCharges(ctx context.Context, event onsale.EventID, age time.Duration, most int) ([]onsale.Charge, error) {
	var charges []onsale.Charge
	err := s.inTx(ctx, "find the lost charges of "+string(event), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		charges = nil
		rows, err := tx.Query(ctx, takeLost, string(event), age, most, reminderLoan)
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

// ChargesReminded notes that charges were asked for again. Each is lost again, if it has no
// answer by then, after the age, then after twice as long, a day at the most.
func (s *Store) ChargesReminded(ctx context.Context, orders []onsale.OrderID, age time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	ids := make([]string, len(orders))
	for i, id := range orders {
		ids[i] = string(id)
	}
	if _, err := s.pool.Exec(ctx, noteReminded, ids, age); err != nil {
		return failed("note which charges were asked for again", err)
	}
	return nil
}

// ForgetReminders forgets how often charges were asked for whose order has come further
// since: `most` of them at the most. It returns how many.
func (s *Store) ForgetReminders(ctx context.Context, most int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, forgetReminders, most)
	if err != nil {
		return 0, failed("forget reminders of charges", err)
	}
	return tag.RowsAffected(), nil
}
