package peers

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// rowsSchema is a row for each seat, the available ones indexed; one for each buyer, who
// may have so many; and one for each hold, under the key that it was asked for.
const rowsSchema = `
	CREATE TABLE events (id text PRIMARY KEY, max_per_buyer bigint NOT NULL);
	CREATE TABLE seats (event text NOT NULL, id bigint, state text NOT NULL, hold text, expires_at timestamptz, PRIMARY KEY (event, id));
	CREATE INDEX seats_available ON seats (event, id) WHERE state = 'available';
	CREATE TABLE buyers (event text, id text, held bigint NOT NULL, PRIMARY KEY (event, id));
	CREATE TABLE holds (event text, buyer text, key text, seat bigint NOT NULL, expires_at timestamptz NOT NULL, PRIMARY KEY (event, buyer, key));`

// The statements of a hold, in a transaction: the same rules as Onsale's, in the order in
// which a shop's code goes through them. The buyer is locked first, so that two requests of
// the same one, a double click among them, come one after the other.
const (
	rowsNewBuyer = "INSERT INTO buyers (event, id, held) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING"
	rowsBuyer    = "SELECT held, max_per_buyer FROM buyers JOIN events ON events.id = event WHERE event = $1 AND buyers.id = $2 FOR UPDATE OF buyers"
	rowsRepeat   = "SELECT seat FROM holds WHERE event = $1 AND buyer = $2 AND key = $3"
	rowsSeat     = "SELECT id FROM seats WHERE event = $1 AND state = 'available' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
	rowsTake     = "UPDATE seats SET state = 'held', hold = $3, expires_at = now() + interval '2 minutes' WHERE event = $1 AND id = $2"
	rowsCount    = "UPDATE buyers SET held = held + 1 WHERE event = $1 AND id = $2"
	rowsHold     = "INSERT INTO holds (event, buyer, key, seat, expires_at) VALUES ($1, $2, $3, $4, now() + interval '2 minutes')"
)

// rowsConnections is how many the pool has: more only wait for each other.
const rowsConnections = 24

// rows sells seats as large shops do: a row for each in Postgres, of which a request
// locks one that nobody else has locked, in a transaction that goes through the rules
// statement by statement.
type rows struct{ *postgres }

func openRows(ctx context.Context) (Peer, error) {
	p, err := startPostgres(ctx, rowsSchema, rowsConnections)
	if err != nil {
		return nil, err
	}
	return rows{p}, nil
}

// Open writes a row for each seat.
func (r rows) Open(ctx context.Context, event string, capacity, limit int64) error {
	if _, err := r.pool.Exec(ctx, "INSERT INTO events (id, max_per_buyer) VALUES ($1, $2)", event, limit); err != nil {
		return err
	}
	_, err := r.pool.Exec(ctx, "INSERT INTO seats (event, id, state) SELECT $1, n, 'available' FROM generate_series(1, $2::bigint) n", event, capacity)
	if err == nil {
		_, err = r.pool.Exec(ctx, "ANALYZE seats")
	}
	return err
}

// Hold gives the first seat that nobody has locked.
func (r rows) Hold(ctx context.Context, q Request) (seat int64, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, rowsNewBuyer, q.Event, q.Buyer); err != nil {
			return err
		}
		var held, limit int64
		if err := tx.QueryRow(ctx, rowsBuyer, q.Event, q.Buyer).Scan(&held, &limit); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, rowsRepeat, q.Event, q.Buyer, q.Key).Scan(&seat)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if held >= limit {
			return ErrLimit
		}
		err = tx.QueryRow(ctx, rowsSeat, q.Event).Scan(&seat)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNoneLeft
		} else if err != nil {
			return err
		}
		writes := &pgx.Batch{} // none depends on another: one round trip
		writes.Queue(rowsTake, q.Event, seat, q.Key)
		writes.Queue(rowsCount, q.Event, q.Buyer)
		writes.Queue(rowsHold, q.Event, q.Buyer, q.Key, seat)
		return tx.SendBatch(ctx, writes).Close()
	})
	return seat, err
}
