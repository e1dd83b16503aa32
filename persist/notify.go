package persist

// The deliveries' side of notify.Book: what is to be told waits in Postgres, so that
// nothing that is killed forgets it. Times are Postgres's own: who takes a delivery pushes
// its due time to the end of a lease, and who dies leaves it to the next one.

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

const (
	// NewsMemory is how old an order's news may be and still be told; older ones are
	// history, read again because someone lost their place in Kafka.
	NewsMemory = 14 * 24 * time.Hour
	// DeliveryMemory is how long a delivery that has ended is kept. While it is, its news
	// can't be queued again: it is far longer than NewsMemory.
	DeliveryMemory = 30 * 24 * time.Hour
	// DeliveryLife is how long a delivery is tried. It is longer than every attempt's wait
	// together, and bounds what waits for a receiver that nobody serves.
	DeliveryLife = 84 * time.Hour

	// clockSlack is how much earlier than a webhook, by the clocks of two servers, an order
	// may have ended and still be told to it.
	clockSlack = time.Minute
	// lateContact is how long ago a buyer's order may have ended when they say where to
	// tell them, and still be told.
	lateContact = time.Hour
)

// QueueNews queues what orders came to for whoever is to be told: webhooks that want to
// know, and buyers who gave an address. It returns how many deliveries are new; repeating
// it adds none. Other news than of an order's end, and news of orders that the book
// doesn't have, are nobody's.
func (s *Store) QueueNews(ctx context.Context, news []onsale.OrderNews) (queued int, err error) {
	var ids, states []string
	var ats []time.Time
	for _, n := range news {
		if n.State.Final() {
			ids, states, ats = append(ids, string(n.Order)), append(states, string(n.State)), append(ats, n.At)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO deliveries (order_id, told, lane, buyer, reason, at)
		SELECT n.id, n.state, l.lane, o.buyer, CASE WHEN o.state = n.state THEN o.reason ELSE '' END, n.at
		FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (id, state, at)
		JOIN orders o ON o.id = n.id
		CROSS JOIN LATERAL (
			SELECT w.id AS lane FROM webhooks w
			WHERE w.disabled_at IS NULL AND 'order.' || n.state = ANY (w.events) AND n.at >= w.created_at - $4::interval
			UNION ALL
			SELECT 'email' FROM contacts c WHERE c.buyer = o.buyer
		) AS l
		WHERE n.at > now() - $5::interval
		ON CONFLICT (id) DO NOTHING`, ids, states, ats, clockSlack, NewsMemory)
	if err != nil {
		return 0, failed("queue deliveries", err)
	}
	return int(tag.RowsAffected()), nil
}

// Lanes returns the webhooks that are told, and which lanes have deliveries due: "due" is
// read first, so that a lane whose webhook is new appears with it.
func (s *Store) Lanes(ctx context.Context) (webhooks []onsale.Webhook, due map[onsale.Lane]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT lane FROM (SELECT 'email' AS lane UNION ALL SELECT id FROM webhooks WHERE disabled_at IS NULL) AS l
		WHERE EXISTS (SELECT FROM deliveries d WHERE d.lane = l.lane AND d.state = 'queued' AND d.due <= now())`)
	if err != nil {
		return nil, nil, failed("look for due deliveries", err)
	}
	lanes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, nil, failed("look for due deliveries", err)
	}
	due = make(map[onsale.Lane]bool, len(lanes))
	for _, l := range lanes {
		due[onsale.Lane(l)] = true
	}
	rows, err = s.pool.Query(ctx, webhookColumns+`WHERE disabled_at IS NULL`)
	if err != nil {
		return nil, nil, failed("read the webhooks", err)
	}
	webhooks, err = pgx.CollectRows(rows, scanWebhook)
	if err != nil {
		return nil, nil, failed("read the webhooks", err)
	}
	return webhooks, due, nil
}

// TakeDeliveries takes some of a lane's due deliveries, the longest due first, for the time
// of the lease: who has said nothing about one by then has lost it to the next taker. A
// taken one's attempt counts, so that one that kills whoever sends it ends too. E-mails
// come with the buyer's address as it is now; one whose buyer has none is left.
func (s *Store) TakeDeliveries(ctx context.Context, lane onsale.Lane, most int, lease time.Duration) ([]onsale.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		WITH taken AS MATERIALIZED (
			SELECT d.id FROM deliveries d WHERE d.lane = $1 AND d.state = 'queued' AND d.due <= now()
				AND (d.lane <> 'email' OR EXISTS (SELECT FROM contacts c WHERE c.buyer = d.buyer))
			ORDER BY d.due LIMIT $2 FOR UPDATE SKIP LOCKED),
		leased AS (
			UPDATE deliveries d SET attempts = d.attempts + 1, due = now() + $3::interval
			FROM taken t WHERE d.id = t.id RETURNING d.*)
		SELECT `+deliveryColumns+`, CASE WHEN d.lane = 'email' THEN coalesce(c.email, '') ELSE '' END
		FROM leased d JOIN orders o ON o.id = d.order_id LEFT JOIN contacts c ON c.buyer = d.buyer
		ORDER BY d.at, d.id`, string(lane), most, lease)
	if err != nil {
		return nil, failed("take deliveries", err)
	}
	taken, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d onsale.Delivery, err error) {
		return d, row.Scan(append(deliveryFields(&d), &d.Address)...)
	})
	if err != nil {
		return nil, failed("take deliveries", err)
	}
	return taken, nil
}

// EndDeliveries writes down what came of deliveries that were taken. That one was sent
// counts whoever says so; anything else only if nobody has taken it since.
func (s *Store) EndDeliveries(ctx context.Context, outcomes []onsale.DeliveryOutcome) error {
	var ids, states, errs []string
	var attempts []int32
	var begun []bool
	var after []time.Duration
	for _, o := range outcomes {
		ids, states, errs = append(ids, string(o.ID)), append(states, string(o.State)), append(errs, o.Error)
		attempts, begun, after = append(attempts, int32(o.Attempt)), append(begun, o.Begun), append(after, o.After)
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		UPDATE deliveries d SET state = o.state, due = now() + o.after, error = CASE WHEN o.begun THEN o.error ELSE d.error END,
			attempts = CASE WHEN o.begun THEN greatest(d.attempts, o.attempt) ELSE o.attempt - 1 END,
			ended_at = CASE WHEN o.state <> 'queued' THEN now() END
		FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bool[], $6::interval[]) AS o (id, state, error, attempt, begun, after)
		WHERE d.id = o.id AND d.state = 'queued' AND (o.state = 'sent' OR d.attempts = o.attempt)`,
		ids, states, errs, attempts, begun, after)
	if err != nil {
		return failed("write down what came of deliveries", err)
	}
	return nil
}

// deliveryColumns are of deliveries d and orders o, in the order of deliveryFields.
const deliveryColumns = `d.id, d.lane, d.state, d.attempts, d.error, d.queued_at, d.due, d.ended_at,
	d.order_id, o.event, d.buyer, d.told, d.reason, o.lines, o.amount, o.currency, d.at`

func deliveryFields(d *onsale.Delivery) []any {
	return []any{&d.ID, &d.Lane, &d.State, &d.Attempts, &d.Error, &d.QueuedAt, &d.DueAt, &d.EndedAt,
		&d.Order, &d.Event, &d.Buyer, &d.Told, &d.Reason, &d.Lines, &d.Amount, &d.Currency, &d.At}
}
