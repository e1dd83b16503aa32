package peers

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// counterSchema is a row for each event, which counts what remains, and a function that
// goes through the rules within the server: so the row that all wait for is locked for
// the shortest time, from its UPDATE to the end of COMMIT.
const counterSchema = `
	CREATE TABLE events (id text PRIMARY KEY, remaining bigint NOT NULL CHECK (remaining >= 0), max_per_buyer bigint NOT NULL);
	CREATE TABLE buyers (event text, id text, held bigint NOT NULL, PRIMARY KEY (event, id));
	CREATE TABLE holds (event text, buyer text, key text, admission bigint NOT NULL, expires_at timestamptz NOT NULL, PRIMARY KEY (event, buyer, key));

	CREATE FUNCTION hold(event_ text, buyer_ text, key_ text) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		most bigint;
		number bigint;
	BEGIN
		SELECT admission INTO number FROM holds WHERE event = event_ AND buyer = buyer_ AND key = key_;
		IF FOUND THEN RETURN number; END IF;
		SELECT max_per_buyer INTO most FROM events WHERE id = event_ AND remaining > 0;
		IF NOT FOUND THEN RETURN -1; END IF; -- who comes too late locks nothing and writes nothing
		INSERT INTO buyers AS b (event, id, held) VALUES (event_, buyer_, 1)
			ON CONFLICT (event, id) DO UPDATE SET held = b.held + 1 WHERE b.held < most;
		IF NOT FOUND THEN RETURN -2; END IF;
		UPDATE events SET remaining = remaining - 1 WHERE id = event_ AND remaining > 0 RETURNING remaining + 1 INTO number;
		IF NOT FOUND THEN RAISE 'none is left' USING ERRCODE = 'P0999'; END IF; -- takes the buyer's count back too
		INSERT INTO holds VALUES (event_, buyer_, key_, number, now() + interval '2 minutes');
		RETURN number;
	END $$;`

// What Postgres says of a hold that came to nothing.
const (
	counterNoneLeft = "P0999"
	counterRepeated = "23505" // unique_violation: the same key at the same time
)

// counterConnections is how many wait for the row at once: with 24 there were a quarter fewer holds, with 8 no more.
const counterConnections = 16

// counter sells admissions that one row of Postgres counts.
type counter struct{ *postgres }

func openCounter(ctx context.Context) (Peer, error) {
	p, err := startPostgres(ctx, counterSchema, counterConnections)
	if err != nil {
		return nil, err
	}
	return counter{p}, nil
}

// Open writes the event's row.
func (c counter) Open(ctx context.Context, event string, capacity, limit int64) error {
	_, err := c.pool.Exec(ctx, "INSERT INTO events (id, remaining, max_per_buyer) VALUES ($1, $2, $3)", event, capacity, limit)
	return err
}

// Hold counts one down.
func (c counter) Hold(ctx context.Context, q Request) (int64, error) {
	admission, err := c.call(ctx, q)
	var failed *pgconn.PgError
	if errors.As(err, &failed) && failed.Code == counterRepeated {
		admission, err = c.call(ctx, q) // a double click: the other one has it
	}
	switch {
	case errors.As(err, &failed) && failed.Code == counterNoneLeft, admission == -1:
		return 0, ErrNoneLeft
	case admission == -2:
		return 0, ErrLimit
	}
	return admission, err
}

func (c counter) call(ctx context.Context, q Request) (admission int64, err error) {
	err = c.pool.QueryRow(ctx, "SELECT hold($1, $2, $3)", q.Event, q.Buyer, q.Key).Scan(&admission)
	return admission, err
}
