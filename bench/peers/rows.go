package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/internal/stores"
)

// rowsSchema is a table with a row for each seat, the available ones indexed, and one for
// who has asked under which key.
const rowsSchema = `
	CREATE TABLE seats (id bigint PRIMARY KEY, state text NOT NULL, hold text, expires_at timestamptz);
	CREATE INDEX seats_available ON seats (id) WHERE state = 'available';
	CREATE TABLE holds (key text PRIMARY KEY, seat bigint NOT NULL);`

// rowsHold takes the first seat that nobody else is looking at, and notes the key so
// that a repeat finds its seat.
const rowsHold = `
	WITH seat AS (
		UPDATE seats SET state = 'held', hold = $1, expires_at = now() + interval '2 minutes'
		WHERE id = (SELECT id FROM seats WHERE state = 'available' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id)
	INSERT INTO holds (key, seat) SELECT $1, id FROM seat
	ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING seat`

const (
	// rowsSeats is more than are held in one run.
	rowsSeats = 300_000
	// rowsConnections is how many the pool has: more only wait for each other.
	rowsConnections = 24
)

// Rows sells seats as large shops do: a row for each in Postgres, of which a request
// locks one that nobody else has locked. It checks no token and no limit, and runs on a
// private Postgres with its durable defaults.
type Rows struct {
	folder   string
	postgres *stores.Postgres
	pool     *pgxpool.Pool
}

// NewRows starts a Postgres in a folder of its own, with every seat available.
func NewRows(ctx context.Context) (r *Rows, err error) {
	r = &Rows{folder: filepath.Join(os.TempDir(), "onsale-rows-"+strconv.Itoa(os.Getpid()))}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("the row locks' Postgres: %w", err), r.Close())
		}
	}()
	r.postgres = stores.NewPostgres(stores.PostgresConfig{Folder: r.folder})
	if err := r.postgres.Start(ctx); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(r.postgres.URL())
	if err != nil {
		return nil, err
	}
	config.MaxConns = rowsConnections
	if r.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if _, err := r.pool.Exec(ctx, rowsSchema); err != nil {
		return nil, err
	}
	_, err = r.pool.Exec(ctx, "INSERT INTO seats (id, state) SELECT n, 'available' FROM generate_series(1, $1) n", rowsSeats)
	if err == nil {
		_, err = r.pool.Exec(ctx, "ANALYZE seats")
	}
	return r, err
}

// Handle answers a request for a hold: 201 with the seat, 409 if none is left.
func (r *Rows) Handle(ctx *fasthttp.RequestCtx) {
	var body struct {
		Lines []onsale.Ask `json:"lines"`
	}
	if err := json.Unmarshal(ctx.PostBody(), &body); err != nil || len(body.Lines) == 0 {
		ctx.Error("not a hold", fasthttp.StatusBadRequest)
		return
	}
	// Keys are one buyer's: here the token says whose.
	key := string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)) + string(ctx.Request.Header.Peek("Idempotency-Key"))
	var seat int64
	err := r.pool.QueryRow(ctx, rowsHold, key).Scan(&seat)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		ctx.Error("sold out", fasthttp.StatusConflict)
	case err != nil:
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
	default:
		ctx.SetStatusCode(fasthttp.StatusCreated)
		ctx.SetBodyString(strconv.FormatInt(seat, 10))
	}
}

// Close ends Postgres and removes its folder.
func (r *Rows) Close() error {
	if r.pool != nil {
		r.pool.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	return errors.Join(r.postgres.Stop(ctx), os.RemoveAll(r.folder))
}
