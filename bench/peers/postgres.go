package peers

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"onsale"
	"onsale/internal/stores"
)

// postgres is a private Postgres with its durable defaults, and a pool whose statements are
// prepared once a connection, which is what pgx does by itself.
type postgres struct {
	folder string
	server *stores.Postgres
	pool   *pgxpool.Pool
}

// startPostgres starts one in a folder of its own, with a schema and a pool of so many connections.
func startPostgres(ctx context.Context, schema string, connections int32) (p *postgres, err error) {
	p = &postgres{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("its Postgres: %w", err), p.Close())
		}
	}()
	if p.folder, err = makeFolder(); err != nil {
		return p, err
	}
	p.server = stores.NewPostgres(stores.PostgresConfig{Folder: p.folder})
	if err := p.server.Start(ctx); err != nil {
		return p, err
	}
	config, err := pgxpool.ParseConfig(p.server.URL())
	if err != nil {
		return p, err
	}
	config.MaxConns = connections
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return p, err
	}
	_, err = p.pool.Exec(ctx, schema)
	return p, err
}

// makeFolder makes a folder for a store, which the user that Postgres runs as may pass through.
func makeFolder() (string, error) {
	folder, err := os.MkdirTemp("", "onsale-peer-")
	if err != nil {
		return "", err
	}
	return folder, os.Chmod(folder, 0o711)
}

// Sold counts an event's holds.
func (p *postgres) Sold(ctx context.Context, event string) (sold int64, err error) {
	err = p.pool.QueryRow(ctx, "SELECT count(*) FROM holds WHERE event = $1", event).Scan(&sold)
	return sold, err
}

// Close ends Postgres and removes its folder.
func (p *postgres) Close() error {
	if p.pool != nil {
		p.pool.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	var stopped error
	if p.server != nil {
		stopped = p.server.Stop(ctx)
	}
	if p.folder == "" {
		return stopped
	}
	return errors.Join(stopped, os.RemoveAll(p.folder))
}
