package persist

// Refunds that fail after they were made. Banks send money back, to a closed account say,
// up to a month after the provider has called it paid back. The promise: what came back is
// never counted as paid back, and a person hears of it.
//
// The book learns of it in two ways, of which each is enough: the provider's webhook has
// the refund looked at now (LookAtRefund), and each refund is looked at anyway, a day
// after it was made and then each time that it is twice as old, until it is older than
// lastLook. Looking is asking the provider what has become of it (checkout's Refunder);
// nothing is ever paid by that, so wherever it dies it is done again after the lease.
//
// What has failed stays so. The tickets stay void, since their places may be someone
// else's by now; the payment is no longer refunded; and an operator may have it paid back
// again, as another refund. Until then Unmended counts it, and the audit names it.

import (
	"context"
	"time"

	"onsale"
)

const (
	// firstLook is how old a refund that was made is when it is first looked at again.
	firstLook = 24 * time.Hour
	// lastLook is how old it is when that was the last time. Stripe's refunds fail within 30 days.
	lastLook = 32 * 24 * time.Hour
	// hintAgain is when whoever hints at a refund that is not told yet may do so again.
	hintAgain = 5 * time.Second
)

// LookAtRefund has a refund that was made looked at now. One that is not told yet is
// refused as unavailable: whoever hints at it may have been faster than its worker, and is
// to hint again. One that is unknown, or has ended otherwise, is left as it is.
func (s *Store) LookAtRefund(ctx context.Context, id onsale.RefundID) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var open bool // asked first: what is told from here on is looked at; asked after, what was told in between would be missed
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM refunds WHERE id = $1 AND told_at IS NULL)`, string(id)).Scan(&open); err != nil {
		return failed("have refund "+string(id)+" looked at", err)
	}
	if open {
		return onsale.Busy(onsale.CodeUnavailable, "the refund is being worked on just now: say so again", hintAgain, nil)
	}
	if _, err := s.pool.Exec(ctx, `UPDATE refunds SET next_at = clock_timestamp() WHERE id = $1 AND state = 'made' AND told_at IS NOT NULL`, string(id)); err != nil {
		return failed("have refund "+string(id)+" looked at", err)
	}
	return nil
}

// RefundStands notes that a refund that was made had not failed when it was looked at. If someone
// has hinted at it since, it is due still, or another worker's who has taken it for that, as its attempts say:
// the provider may have been asked too early.
func (s *Store) RefundStands(ctx context.Context, id onsale.RefundID, attempts int) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, `UPDATE refunds SET next_at = CASE WHEN clock_timestamp() - ended_at >= $3 THEN 'infinity'
		ELSE clock_timestamp() + greatest(clock_timestamp() - ended_at, $2) END WHERE id = $1 AND state = 'made' AND told_at IS NOT NULL AND next_at > clock_timestamp()
		AND attempts = $4`, string(id), firstLook, lastLook, attempts); err != nil {
		return failed("note that refund "+string(id)+" stands", err)
	}
	return nil
}

// RefundFailed notes that a refund that was made, and told, has failed since, and why. A
// repeat changes nothing. Its payment follows by the refunds' trigger.
func (s *Store) RefundFailed(ctx context.Context, id onsale.RefundID, why string) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, `UPDATE refunds SET state = 'failed', refusal = $2, ended_at = clock_timestamp(), next_at = 'infinity'
		WHERE id = $1 AND state = 'made' AND told_at IS NOT NULL`, string(id), why); err != nil {
		return failed("note that refund "+string(id)+" has failed", err)
	}
	return nil
}
