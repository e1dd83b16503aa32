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

// rowsSchema is a row for each seat, the available ones indexed; one for each buyer, who
// may have so many; and one for each hold, under the key that it was asked for.
const rowsSchema = `
	CREATE TABLE seats (id bigint PRIMARY KEY, state text NOT NULL, hold text, expires_at timestamptz);
	CREATE INDEX seats_available ON seats (id) WHERE state = 'available';
	CREATE TABLE buyers (id text PRIMARY KEY, held int NOT NULL);
	CREATE TABLE holds (key text PRIMARY KEY, buyer text NOT NULL, seat bigint NOT NULL, expires_at timestamptz NOT NULL);`

// The statements of a hold, in a transaction: the same rules as Onsale's, in the order in
// which a shop's code goes through them.
const (
	rowsRepeat   = "SELECT seat FROM holds WHERE key = $1"
	rowsNewBuyer = "INSERT INTO buyers (id, held) VALUES ($1, 0) ON CONFLICT DO NOTHING"
	rowsBuyer    = "SELECT held FROM buyers WHERE id = $1 FOR UPDATE"
	rowsSeat     = "SELECT id FROM seats WHERE state = 'available' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
	rowsTake     = "UPDATE seats SET state = 'held', hold = $2, expires_at = now() + interval '2 minutes' WHERE id = $1"
	rowsCount    = "UPDATE buyers SET held = held + 1 WHERE id = $1"
	rowsHold     = "INSERT INTO holds (key, buyer, seat, expires_at) VALUES ($1, $2, $3, now() + interval '2 minutes')"
)

const (
	// rowsSeats is more than are held in one run.
	rowsSeats = 300_000
	// rowsConnections is how many the pool has: more only wait for each other.
	rowsConnections = 24
	// rowsLimit is what one buyer may have, as in the bench's own events.
	rowsLimit = onsale.MaxPerBuyer
)

// Rows sells seats as large shops do: a row for each in Postgres, of which a request
// locks one that nobody else has locked, in a transaction that goes through the rules
// statement by statement. It doesn't check the token, which says who asks, and never puts
// back what has expired. It runs on a private Postgres with its durable defaults.
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
	buyer := string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)) // the token stands for its buyer
	seat, err := r.hold(ctx, buyer, buyer+" "+string(ctx.Request.Header.Peek("Idempotency-Key")))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		ctx.Error("sold out", fasthttp.StatusConflict)
	case errors.Is(err, errRowsLimit):
		ctx.Error("no more for this buyer", fasthttp.StatusConflict)
	case err != nil:
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
	default:
		ctx.SetStatusCode(fasthttp.StatusCreated)
		ctx.SetBodyString(strconv.FormatInt(seat, 10))
	}
}

var errRowsLimit = errors.New("the buyer has all that one may have")

// hold returns the seat that the buyer has under the key. pgx.ErrNoRows: none is left.
func (r *Rows) hold(ctx context.Context, buyer, key string) (seat int64, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, rowsRepeat, key).Scan(&seat)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if _, err := tx.Exec(ctx, rowsNewBuyer, buyer); err != nil {
			return err
		}
		held := 0
		if err := tx.QueryRow(ctx, rowsBuyer, buyer).Scan(&held); err != nil {
			return err
		}
		if held >= rowsLimit {
			return errRowsLimit
		}
		if err := tx.QueryRow(ctx, rowsSeat).Scan(&seat); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, rowsTake, seat, key); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, rowsCount, buyer); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, rowsHold, key, buyer, seat)
		return err
	})
	return seat, err
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
