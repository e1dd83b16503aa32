package persist

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// maxDeliveriesPage is how many deliveries are listed at the most.
const maxDeliveriesPage = 1000

// What keeps the deliveries bounded; each does a portion.
const (
	// Nobody to tell: the webhook is gone or disabled, or the buyer's address erased while it was queued.
	giveUpUntellable = `UPDATE deliveries SET state = 'dead', ended_at = now(), error = 'its receiver is gone' WHERE id IN (
		SELECT d.id FROM deliveries d WHERE d.state = 'queued' AND NOT EXISTS (
			SELECT FROM contacts c WHERE d.lane = 'email' AND c.buyer = d.buyer
			UNION ALL SELECT FROM webhooks w WHERE w.id = d.lane AND w.disabled_at IS NULL)
		ORDER BY d.queued_at, d.id LIMIT $1 FOR UPDATE OF d SKIP LOCKED)`
	giveUpOld = `UPDATE deliveries SET state = 'dead', ended_at = now(), error = CASE error WHEN '' THEN 'it was not tried in time' ELSE error END WHERE id IN (
		SELECT id FROM deliveries WHERE state = 'queued' AND queued_at < now() - make_interval(secs => $2)
		ORDER BY queued_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)`
	// An array, since of a portion whose size it doesn't know Postgres expects a tenth of the table.
	forgetEnded = `DELETE FROM deliveries WHERE id = ANY (ARRAY(
		SELECT id FROM deliveries WHERE state IN ('sent', 'dead') AND ended_at < now() - make_interval(secs => $2)
		ORDER BY state, ended_at, id LIMIT $1 FOR UPDATE SKIP LOCKED))`
)

// KeepDeliveries gives up what can't be told any more and deletes what is no longer
// remembered: portion of each at the most. It returns how many were given up, and whether
// there may be more of anything. Any number of processes may do it at once.
func (s *Store) KeepDeliveries(ctx context.Context, portion int) (dead int, more bool, err error) {
	untellable, err := s.keep(ctx, giveUpUntellable, portion)
	if err != nil {
		return 0, false, err
	}
	old, err := s.keep(ctx, giveUpOld, portion, DeliveryLife.Seconds())
	if err != nil {
		return untellable, false, err
	}
	forgotten, err := s.keep(ctx, forgetEnded, portion, DeliveryMemory.Seconds())
	return untellable + old, untellable == portion || old == portion || forgotten == portion, err
}

func (s *Store) keep(ctx context.Context, statement string, args ...any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, statement, args...)
	if err != nil {
		return 0, failed("keep the deliveries bounded", err)
	}
	return int(tag.RowsAffected()), nil
}

// CountDeliveries says how the channels' queues stand.
func (s *Store) CountDeliveries(ctx context.Context) (map[onsale.Channel]onsale.DeliveryCounts, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT CASE lane WHEN 'email' THEN 'email' ELSE 'webhook' END, count(*), greatest(now() - min(queued_at), '0')
		FROM deliveries WHERE state = 'queued' GROUP BY 1`)
	if err != nil {
		return nil, failed("count the deliveries", err)
	}
	counts := map[onsale.Channel]onsale.DeliveryCounts{onsale.ChannelEmail: {}, onsale.ChannelWebhook: {}}
	var channel onsale.Channel
	var c onsale.DeliveryCounts
	_, err = pgx.ForEachRow(rows, []any{&channel, &c.Queued, &c.OldestAge}, func() error {
		counts[channel] = c
		return nil
	})
	if err != nil {
		return nil, failed("count the deliveries", err)
	}
	return counts, nil
}

// Each is in the order of an index.
const (
	readDeliveries   = `SELECT ` + deliveryColumns + ` FROM deliveries d JOIN orders o ON o.id = d.order_id WHERE `
	oneDelivery      = readDeliveries + `d.id = $1`
	queuedDeliveries = readDeliveries + `d.state = 'queued' AND ($1 = '' OR d.lane = $1) ORDER BY d.queued_at DESC, d.id DESC LIMIT $2`
	endedDeliveries  = readDeliveries + `d.state <> 'queued' AND d.state = $1 AND ($2 = '' OR d.lane = $2)
		ORDER BY d.state DESC, d.ended_at DESC, d.id DESC LIMIT $3`
)

// Deliveries returns deliveries in a state, newest first, 1 to 1,000 of them: of one lane,
// or of all if it is "".
func (s *Store) Deliveries(ctx context.Context, state onsale.DeliveryState, lane onsale.Lane, limit int) ([]onsale.Delivery, error) {
	limit = min(max(limit, 1), maxDeliveriesPage)
	if state == onsale.DeliveryQueued {
		return s.deliveries(ctx, queuedDeliveries, string(lane), limit)
	}
	return s.deliveries(ctx, endedDeliveries, string(state), string(lane), limit)
}

// Delivery returns a delivery, or refuses with CodeUnknownDelivery.
func (s *Store) Delivery(ctx context.Context, id onsale.DeliveryID) (*onsale.Delivery, error) {
	found, err := s.deliveries(ctx, oneDelivery, string(id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errUnknownDelivery
	}
	return &found[0], nil
}

var errUnknownDelivery = onsale.Refuse(onsale.CodeUnknownDelivery, "there is no such delivery, or it is forgotten")

func (s *Store) deliveries(ctx context.Context, statement string, args ...any) ([]onsale.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, failed("read deliveries", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d onsale.Delivery, err error) {
		return d, row.Scan(deliveryFields(&d)...)
	})
	if err != nil {
		return nil, failed("read deliveries", err)
	}
	return found, nil
}

// requeue makes a delivery as if it were new. Its id stays: to its receiver it is a repeat.
const (
	requeue    = `UPDATE deliveries SET state = 'queued', attempts = 0, error = '', queued_at = now(), due = now(), ended_at = NULL WHERE `
	requeueOne = requeue + `id = $1 AND state <> 'queued'`
	// Those whose receiver is gone would only die again.
	requeueDead = requeue + `id IN (SELECT d.id FROM deliveries d WHERE d.state = 'dead' AND d.state <> 'queued' AND d.ended_at <= $3 AND ($1 = '' OR d.lane = $1)
		AND EXISTS (SELECT FROM contacts c WHERE d.lane = 'email' AND c.buyer = d.buyer
			UNION ALL SELECT FROM webhooks w WHERE w.id = d.lane AND w.disabled_at IS NULL)
		ORDER BY d.ended_at, d.id LIMIT $2 FOR UPDATE OF d SKIP LOCKED)`
)

// ReplayDelivery queues a delivery that has ended again, a sent one too: then its
// receiver gets it twice. It is refused with CodeUnknownDelivery, and with
// CodeBadTransition if it is queued.
func (s *Store) ReplayDelivery(ctx context.Context, id onsale.DeliveryID) error {
	n, err := s.replay(ctx, requeueOne, string(id))
	if err != nil || n > 0 {
		return err
	}
	if _, err := s.Delivery(ctx, id); err != nil {
		return err
	}
	return onsale.Refuse(onsale.CodeBadTransition, "the delivery is queued already")
}

// ReplayDead queues the deliveries again that are dead by now, of one lane or of all if it
// is "", the oldest first, and returns how many, also with an error. Those whose receiver is
// gone would only die again, and stay.
func (s *Store) ReplayDead(ctx context.Context, lane onsale.Lane) (total int, err error) {
	var until time.Time // what dies again meanwhile isn't queued again and again
	if err := s.pool.QueryRow(ctx, `SELECT now()`).Scan(&until); err != nil {
		return 0, failed("ask Postgres for the time", err)
	}
	for {
		n, err := s.replay(ctx, requeueDead, string(lane), maxDeliveriesPage, until)
		if total += n; err != nil || n == 0 {
			return total, err
		}
	}
}

func (s *Store) replay(ctx context.Context, statement string, args ...any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, statement, args...)
	if err != nil {
		return 0, failed("queue deliveries again", err)
	}
	return int(tag.RowsAffected()), nil
}
