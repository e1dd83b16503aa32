package persist

import (
	"context"
	"errors"
	"time"

	"onsale"
)

// What only a person can mend, of an event. Each statement counts one kind.
const (
	claimlessOrders = `SELECT count(*) FROM orders o WHERE o.event = $1 AND o.state IN ` + withClaim + ` AND NOT EXISTS (SELECT FROM claims c
		WHERE c.event = o.event AND c.order_id = o.id)`
	unansweredOrders = `SELECT count(*) FROM orders o WHERE o.event = $1 AND o.state = 'claimed' AND o.updated_at < clock_timestamp() - $2::interval`
	overdueRefunds   = `SELECT count(*) FROM refunds r WHERE r.event = $1 AND r.state = 'due' AND r.asked_at < clock_timestamp() - $2::interval`
	strandedPayments = `SELECT count(*) FROM payments p WHERE p.event = $1 AND p.state = 'refund_due' AND p.paying_back < p.amount`
	failedRefunds    = `SELECT count(*) FROM refunds r WHERE r.event = $1 AND r.state = 'failed' AND NOT EXISTS (SELECT FROM refunds a
		WHERE a.event = r.event AND a.order_id = r.order_id AND a.payment = r.payment AND a.state IN ('due', 'made') AND a.asked_at > r.ended_at AND a.amount >= r.amount)`
)

// Unmended counts what is wrong with an event and is for a person to look into, by kind:
//
//	order_without_claim   a live order that owns nothing: someone paid for what isn't theirs
//	charge_without_result an order that was claimed longer ago than overdue
//	refund_overdue        a refund that was asked for longer ago than overdue, and is due still
//	refund_refused        a capture that bought nothing, and that the provider won't pay back
//	refund_failed         a refund that was made, whose money came back, and that no other one stands for
//
// Each is counted by itself, and given queryTimeout. What can't be counted is left out,
// and the error says why.
func (s *Store) Unmended(ctx context.Context, event onsale.EventID, overdue time.Duration) (map[string]int64, error) {
	found := map[string]int64{}
	return found, errors.Join(
		s.countInto(ctx, found, "order_without_claim", claimlessOrders, string(event)),
		s.countInto(ctx, found, "charge_without_result", unansweredOrders, string(event), overdue),
		s.countInto(ctx, found, "refund_overdue", overdueRefunds, string(event), overdue),
		s.countInto(ctx, found, "refund_refused", strandedPayments, string(event)),
		s.countInto(ctx, found, "refund_failed", failedRefunds, string(event)),
	)
}

func (s *Store) countInto(ctx context.Context, found map[string]int64, kind, statement string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var n int64
	if err := s.pool.QueryRow(ctx, statement, args...).Scan(&n); err != nil {
		return failed("count "+kind, err)
	}
	found[kind] = n
	return nil
}
