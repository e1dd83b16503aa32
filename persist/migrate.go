package persist

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// lockRetrySeconds and lockTries bound the wait for another process that migrates.
	lockRetrySeconds = 1
	lockTries        = 120

	versionQuery = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`
)

// Migrate brings the tables of the Postgres at url to this build's version. Any
// number of processes may do so at once: an advisory lock, which belongs to the
// session, lets one of them. The url must therefore lead to Postgres itself, not
// to a pooler in transaction mode.
func Migrate(ctx context.Context, url string) (err error) {
	cc, err := pgx.ParseConfig(url)
	if err != nil {
		return badURL(err)
	}
	cc.ConnectTimeout = connectTimeout
	db := stdlib.OpenDB(*cc)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return unreachable(cc.Host, cc.Port, err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockRetrySeconds, lockTries))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the tables: %w", err)
	}
	if _, err := db.ExecContext(ctx, makeMonths, historyMonths); err != nil {
		return fmt.Errorf("make the months of the history: %w", err)
	}
	return nil
}

// checkVersion refuses a database whose tables are not this build's.
func (s *Store) checkVersion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	want, err := latestMigration()
	if err != nil {
		return err
	}
	var have int64
	err = s.pool.QueryRow(ctx, versionQuery).Scan(&have)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == undefinedTable:
		have = 0
	case err != nil:
		cc := s.pool.Config().ConnConfig
		return unreachable(cc.Host, cc.Port, err)
	}
	switch {
	case have < want:
		return fmt.Errorf("the tables are at version %d, this build needs %d: run `onsale migrate`", have, want)
	case have > want:
		return fmt.Errorf("the tables are at version %d, this build knows %d: use a newer onsale", have, want)
	}
	return nil
}

func latestMigration() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("list the migrations: %w", err)
	}
	return goose.NumericComponent(names[len(names)-1]) // embedded names are sorted
}
