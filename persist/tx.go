package persist

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxAttempts is how often a transaction that loses a conflict is run.
	maxAttempts = 6
	// firstPause and lastPause bound the jittered wait between attempts.
	firstPause = 5 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// errOvertaken says that another transaction changed what this one had decided on.
var errOvertaken = errors.New("overtaken by another transaction")

// snapshot reads many tables as they were at one moment.
var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// planForAny has the transaction's statements planned without a look at their
// arguments, and so by index. For the thousand orders of a batch Postgres would rather
// read a table of a hundred thousand from end to end, and while it grows it would
// change its mind in the middle of a sale.
const planForAny = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true)`

// inTx runs f in a transaction and commits it. A transaction that loses a conflict
// is run again as a whole, so f must set its results anew on each run. An error of
// the commit itself is returned, and may mean that it was done: everything that
// uses inTx may be repeated.
func (s *Store) inTx(ctx context.Context, doing string, opts pgx.TxOptions, f func(ctx context.Context, tx pgx.Tx) error) error {
	return inTxOn(ctx, s.pool, doing, opts, f)
}

func inTxOn(ctx context.Context, pool *pgxpool.Pool, doing string, opts pgx.TxOptions, f func(ctx context.Context, tx pgx.Tx) error) error {
	attempt := func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		err := pgx.BeginTxFunc(ctx, pool, opts, func(tx pgx.Tx) error {
			if err := introduce(ctx, tx); err != nil {
				return err
			}
			return f(ctx, tx)
		})
		if err != nil && !conflict(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, lastPause
	if _, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pauses), backoff.WithMaxTries(maxAttempts)); err != nil {
		return failed(doing, err)
	}
	return nil
}

// send runs the queued statements in one round trip, in order.
func send(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	return tx.SendBatch(ctx, b).Close()
}
