package persist

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Behind PgBouncer in transaction mode consecutive statements may meet different servers, so nothing
// prepared by name may be relied on. Descriptions are the same on every server: they are cached, and each
// execution parses and plans an unnamed statement, which is most of what reading one order costs Postgres.
// Whoever speaks with a server itself needn't: there, statements are prepared once a connection.
//
// Each connection finds out which it is. A server names its own process when one connects, for cancelling;
// a pooler, which has no such process for a client, makes a number up.

// statementsKept is how many statements a connection has prepared at the most: more than there are.
const statementsKept = 512

var errPooled = errors.New("there is a pooler before Postgres now")

// newPool returns a pool that connects when it is first used.
func newPool(ctx context.Context, url string, maxConns int) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, badURL(err)
	}
	pc.MaxConns = int32(maxConns)
	if pc.MaxConns <= 0 {
		pc.MaxConns = DefaultMaxConns
	}
	pc.ConnConfig.ConnectTimeout = connectTimeout
	var direct atomic.Bool // the last connection was to a server itself
	pc.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		// "exec" would do behind a pooler too, but guesses types and speaks text.
		cc.DefaultQueryExecMode, cc.StatementCacheCapacity = pgx.QueryExecModeCacheDescribe, 0
		if direct.Load() {
			cc.DefaultQueryExecMode, cc.StatementCacheCapacity = pgx.QueryExecModeCacheStatement, statementsKept
		}
		return nil
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		prepares := conn.Config().DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
		ctx, cancel := context.WithTimeout(ctx, connectTimeout) // pgx bounds what comes before, and nothing bounds this
		defer cancel()
		var server int32
		if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&server); err != nil {
			return fmt.Errorf("ask Postgres for its process: %w", err)
		}
		direct.Store(uint32(server) == conn.PgConn().PID())
		if prepares && !direct.Load() {
			return errPooled // the next connection knows
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open the Postgres pool: %w", err)
	}
	return pool, nil
}
