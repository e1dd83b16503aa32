package persist

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// maxDeliveriesPage is how many deliveries are listed at the most.
const maxDeliveriesPage = 1000

// deliveryJanitor are the statements that keep the deliveries bounded; each does a portion.
var deliveryJanitor = []string{
	// Nobody to tell: the webhook is gone or disabled, or the buyer's address erased while it was queued.
	`UPDATE deliveries SET state = 'dead', ended_at = now(), error = 'its receiver is gone' WHERE id IN (
		SELECT d.id FROM deliveries d WHERE d.state = 'queued' AND NOT EXISTS (
			SELECT FROM contacts c WHERE d.lane = 'email' AND c.buyer = d.buyer
			UNION ALL SELECT FROM webhooks w WHERE w.id = d.lane AND w.disabled_at IS NULL)
		ORDER BY d.queued_at, d.id LIMIT $1 FOR UPDATE OF d SKIP LOCKED)`,
	`UPDATE deliveries SET state = 'dead', ended_at = now(), error = CASE error WHEN '' THEN 'it was not tried in time' ELSE error END WHERE id IN (
		SELECT id FROM deliveries WHERE state = 'queued' AND queued_at < now() - '` + seconds(DeliveryLife) + `'::interval
		ORDER BY queued_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)`,
	`DELETE FROM deliveries WHERE id IN (
		SELECT id FROM deliveries WHERE state IN ('sent', 'dead') AND ended_at < now() - '` + seconds(DeliveryMemory) + `'::interval
		ORDER BY state, ended_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)`,
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f seconds", d.Seconds()) }

// KeepDeliveries gives up what can't be told any more and deletes what is no longer
// remembered: portion of each at the most. It returns how many were given up, and whether
// there may be more of anything. Any number of processes may do it at once.
func (s *Store) KeepDeliveries(ctx context.Context, portion int) (dead int, more bool, err error) {
	for i, statement := range deliveryJanitor {
		n, err := s.keep(ctx, statement, portion)
		if err != nil {
			return dead, false, failed("keep the deliveries bounded", err)
		}
		if i < len(deliveryJanitor)-1 {
			dead += n
		}
		more = more || n == portion
	}
	return dead, more, nil
}

func (s *Store) keep(ctx context.Context, statement string, portion int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, statement, portion)
	return int(tag.RowsAffected()), err
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

// Deliveries returns deliveries in a state, newest first, 1 to 1,000 of them: of one lane,
// or of all if it is "".
func (s *Store) Deliveries(ctx context.Context, state onsale.DeliveryState, lane onsale.Lane, limit int) ([]onsale.Delivery, error) {
	limit = min(max(limit, 1), maxDeliveriesPage)
	// Each is the order of an index.
	which, order := `d.state <> 'queued' AND d.state = $1`, `d.state DESC, d.ended_at DESC, d.id DESC`
	if state == onsale.DeliveryQueued {
		which, order = `d.state = 'queued' AND $1 = 'queued'`, `d.queued_at DESC, d.id DESC`
	}
	return s.deliveries(ctx, which+` AND ($2 = '' OR d.lane = $2) ORDER BY `+order+` LIMIT $3`, string(state), string(lane), limit)
}

// Delivery returns a delivery, or refuses with CodeUnknownDelivery.
func (s *Store) Delivery(ctx context.Context, id onsale.DeliveryID) (*onsale.Delivery, error) {
	found, err := s.deliveries(ctx, `d.id = $1`, string(id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errUnknownDelivery
	}
	return &found[0], nil
}

var errUnknownDelivery = onsale.Refuse(onsale.CodeUnknownDelivery, "there is no such delivery, or it is forgotten")

func (s *Store) deliveries(ctx context.Context, where string, args ...any) ([]onsale.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT `+deliveryColumns+` FROM deliveries d JOIN orders o ON o.id = d.order_id WHERE `+where, args...)
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
const requeue = `UPDATE deliveries SET state = 'queued', attempts = 0, error = '', queued_at = now(), due = now(), ended_at = NULL WHERE `

// ReplayDelivery queues a delivery that has ended again, a sent one too: then its
// receiver gets it twice. It is refused with CodeUnknownDelivery, and with
// CodeBadTransition if it is queued.
func (s *Store) ReplayDelivery(ctx context.Context, id onsale.DeliveryID) error {
	n, err := s.replay(ctx, `id = $1 AND state <> 'queued'`, string(id))
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
		n, err := s.replay(ctx, `id IN (SELECT d.id FROM deliveries d WHERE d.state = 'dead' AND d.state <> 'queued' AND d.ended_at <= $3 AND ($1 = '' OR d.lane = $1)
			AND EXISTS (SELECT FROM contacts c WHERE d.lane = 'email' AND c.buyer = d.buyer
				UNION ALL SELECT FROM webhooks w WHERE w.id = d.lane AND w.disabled_at IS NULL)
			ORDER BY d.ended_at, d.id LIMIT $2 FOR UPDATE OF d SKIP LOCKED)`, string(lane), maxDeliveriesPage, until)
		if total += n; err != nil || n == 0 {
			return total, err
		}
	}
}

func (s *Store) replay(ctx context.Context, which string, args ...any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, requeue+which, args...)
	if err != nil {
		return 0, failed("queue deliveries again", err)
	}
	return int(tag.RowsAffected()), nil
}
