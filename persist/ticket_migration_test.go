package persist

import (
	"database/sql"
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"onsale"
	"onsale/internal/stores/storestest"
)

// upgrade is a database of its own, with the migrations to bring it to any version.
func upgrade(t *testing.T) (url string, db *sql.DB, provider *goose.Provider) {
	t.Helper()
	url = storestest.Postgres(t)
	cc, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db = stdlib.OpenDB(*cc)
	t.Cleanup(func() { _ = db.Close() })
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	if provider, err = goose.NewProvider(goose.DialectPostgres, db, files); err != nil {
		t.Fatal(err)
	}
	return url, db, provider
}

func TestTicketsFromBeforeTheyCouldMoveAreTheirBuyers(t *testing.T) {
	url, db, provider := upgrade(t)
	step := func(move func() error) {
		t.Helper()
		if err := move(); err != nil {
			t.Fatal(err)
		}
	}
	order := onsale.NewHoldID("gala", 1).Order()
	const before = 4 // the version that made the table
	step(func() error { _, err := provider.UpTo(t.Context(), before); return err })
	step(func() error {
		_, err := db.ExecContext(t.Context(), `INSERT INTO orders VALUES ($1, 'gala', 'buy_x', 'claimed', '', '[]', 1, 'EUR', '', now(), now())`, string(order))
		return err
	})
	step(func() error {
		_, err := db.ExecContext(t.Context(), `INSERT INTO tickets VALUES ('gala', $1, 1, 'floor', '', 'a code', now())`, string(order))
		return err
	})
	step(func() error { _, err := provider.Up(t.Context()); return err })
	s := open(t, url)
	tickets, err := s.Tickets(t.Context(), order)
	if err != nil || len(tickets) != 1 || tickets[0].Owner != "buy_x" || tickets[0].Serial != 1 || tickets[0].State != onsale.TicketValid || tickets[0].Code == "" {
		t.Errorf("%+v, %v", tickets, err)
	}
	step(func() error { _, err := provider.DownTo(t.Context(), before); return err })
	step(func() error { _, err := provider.Up(t.Context()); return err })
}
