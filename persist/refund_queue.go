package persist

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// TakeRefunds returns refunds that are to be worked on, at the most `most`: those that
// are due, those that are made and not told, and those that are to be looked at again. They are the caller's for the lease; if
// it comes to nothing, by a crash say, another worker takes them after it. Several workers
// at once get different ones.
func (s *Store) TakeRefunds(ctx context.Context, most int, lease time.Duration) ([]onsale.DueRefund, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	// now(), not clock_timestamp(): what changes within a statement is looked for in no index,
	// and those that wait to be looked at again are many.
	rows, err := s.pool.Query(ctx, `UPDATE refunds r SET attempts = attempts + 1, next_at = clock_timestamp() + $2
		WHERE id = ANY (ARRAY(SELECT id FROM refunds WHERE next_at <= now() AND next_at < 'infinity' ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED))
		RETURNING `+refundColumns,
		most, lease)
	if err != nil {
		return nil, failed("take refunds", err)
	}
	taken, err := pgx.CollectRows(rows, scanRefund)
	if err != nil {
		return nil, failed("take refunds", err)
	}
	due := make([]onsale.DueRefund, len(taken))
	for i, r := range taken {
		due[i] = r.due()
	}
	return due, nil
}

// due is the refund as its worker needs it.
func (r *refundRow) due() onsale.DueRefund {
	d := onsale.DueRefund{Attempts: r.attempts, Refund: onsale.Refund{ID: r.ID, Order: r.Order, Event: r.event, Reference: r.Payment,
		Amount: r.Amount, Currency: r.Currency, Reason: r.Reason}, Told: r.toldAt != nil}
	if r.State != onsale.RefundStateDue {
		d.Result = &onsale.RefundResult{ID: r.ID, Outcome: onsale.RefundOutcome(r.State), Reference: r.Reference, Reason: r.Refusal, At: r.EndedAt}
	}
	return d
}

// PutRefundBack gives a refund back to the workers, to be taken again after a pause.
func (s *Store) PutRefundBack(ctx context.Context, id onsale.RefundID, pause time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, `UPDATE refunds SET next_at = clock_timestamp() + $2 WHERE id = $1 AND next_at < 'infinity'`, string(id), pause); err != nil {
		return failed("put refund "+string(id)+" back", err)
	}
	return nil
}

// RefundTold notes that the news of a refund that is made are in Kafka, and its hold
// settled: nobody works on it any more, until it is looked at again.
func (s *Store) RefundTold(ctx context.Context, id onsale.RefundID) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, `UPDATE refunds SET told_at = clock_timestamp(),
		next_at = CASE WHEN amount = 0 THEN 'infinity' ELSE ended_at + $2 END WHERE id = $1 AND state = 'made' AND told_at IS NULL`, string(id), firstLook); err != nil {
		return failed("note that refund "+string(id)+" is told", err)
	}
	return nil
}
