package persist

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"onsale"
	"onsale/internal/lifecycle"
	"onsale/internal/stores/storestest"
)

func (b *book) history(order onsale.OrderID) (lines []string) {
	b.t.Helper()
	moves, err := b.History(b.t.Context(), order)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range moves {
		lines = append(lines, strings.TrimSpace(string(m.From)+" "+string(m.To)+" by "+string(m.Actor)+" "+m.Reason))
	}
	return lines
}

// refund moves an order in the name of whoever ctx says.
func (b *book) refund(actor onsale.Actor, order onsale.OrderID) {
	b.t.Helper()
	err := b.inTx(As(b.t.Context(), actor), "refund", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE orders SET state = 'refunded', updated_at = now() WHERE id = $1`, string(order))
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestHistorySaysWhoMovedAnOrderAndForgetsItWithTheTransaction(t *testing.T) {
	b := newBook(t)
	b.Store = openWith(t, b.url, Config{Secret: secret, MaxConns: 1}) // each transaction meets the setting of the one before
	first, second := b.purchase(stalls("A-1")), b.purchase(stalls("A-2"))
	b.claim(first)
	b.finalise(captured(first))
	b.refund(onsale.ActorOperator, first.Order)
	b.claim(second)
	b.finalise(declined(second))
	for order, want := range map[onsale.OrderID][]string{
		first.Order:  {"accepted claimed by settlement", "claimed paid by settlement", "paid ticketed by settlement", "ticketed refunded by operator"},
		second.Order: {"accepted claimed by settlement", "claimed declined by settlement card_declined"},
	} {
		if got := b.history(order); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if _, err := b.History(t.Context(), b.purchase(floor(1)).Order); onsale.CodeOf(err) != onsale.CodeUnknownOrder {
		t.Errorf("got %v, want unknown_order", err)
	}
}

// partitions are those of the history, in order.
func (b *book) partitions() []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'order_history'::regclass ORDER BY 1`)
	if err != nil {
		b.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

func TestNobodyRewritesTheHistoryInAnyOfItsPartitions(t *testing.T) {
	b := newBook(t)
	b.claim(b.purchase(floor(1)))
	partitions := b.partitions()
	if want := historyMonths + 2; len(partitions) != want { // this month, those ahead, and the default
		t.Fatalf("partitions %q, want %d", partitions, want)
	}
	for _, table := range append(partitions, "order_history") {
		for _, statement := range []string{`UPDATE ` + table + ` SET reason = 'else'`, `DELETE FROM ` + table, `TRUNCATE ` + table} {
			if _, err := b.pool.Exec(t.Context(), statement); !hopeless(err) {
				t.Errorf("%s gives %v", statement, err)
			}
		}
	}
	if n := b.number(`SELECT count(*) FROM order_history`); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestAMoveWithoutItsMonthIsKeptAndFollowsWhenTheMonthIsMade(t *testing.T) {
	b := newBook(t)
	p := b.purchase(floor(1))
	b.claim(p)
	month := b.number(`SELECT count(*) FROM order_history_default`)
	b.corrupt(`INSERT INTO order_history (order_id, from_state, to_state, reason, at) VALUES ('` + string(p.Order) + `', 'claimed', 'declined', 'far', now() + interval '5 months')`)
	if n := b.number(`SELECT count(*) FROM order_history_default`); n != month+1 {
		t.Fatalf("%d rows in the default partition, want %d", n, month+1)
	}
	before := b.history(p.Order)
	if made := b.number(`SELECT make_history_months(now(), 6)`); made != 4 {
		t.Errorf("%d months made, want 4", made)
	}
	if n := b.number(`SELECT count(*) FROM order_history_default`); n != 0 {
		t.Errorf("%d rows are left behind", n)
	}
	if after := b.history(p.Order); !slices.Equal(before, after) {
		t.Errorf("the history was %q and is %q", before, after)
	}
	if _, err := b.pool.Exec(t.Context(), `DELETE FROM order_history_default`); !hopeless(err) {
		t.Errorf("the default partition lets rows go: %v", err)
	}
}

// dropMonths leaves the default partition alone.
func (b *book) dropMonths() {
	b.t.Helper()
	b.corrupt(`DO $$ DECLARE p text; BEGIN
		FOR p IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'order_history'::regclass AND inhrelid <> 'order_history_default'::regclass
		LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$`)
}

func TestHistoriansAtOnceMakeEachMonthOnceWhileOrdersMove(t *testing.T) {
	b := newBook(t)
	b.dropMonths()
	var all lifecycle.Chain
	for range 4 {
		all.Parts = append(all.Parts, NewHistorian(b.Store, slog.New(slog.DiscardHandler)))
	}
	var claims sync.WaitGroup
	for i := range 10 {
		p := b.purchase(stalls("A-" + string('0'+rune(i%9+1))))
		claims.Go(func() { b.claim(p) })
	}
	if err := all.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims.Wait()
	eventually(t, "the months are made", func() bool { return len(b.partitions()) == historyMonths+2 })
	if err := all.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what came before its month has followed", func() bool {
		if _, err := b.makeMonths(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b.number(`SELECT count(*) FROM order_history_default`) == 0
	})
	if n := b.number(`SELECT count(*) FROM order_history`); n != 10 {
		t.Errorf("%d moves, want 10", n)
	}
}

// Postgres decides where a row goes, waits for the lock there, and then finds that the
// month has moved away: that is an error about a row which is quite all right.
func TestAMoveThatMeetsTheMakingOfItsMonthIsMadeAllTheSame(t *testing.T) {
	b := newBook(t)
	b.dropMonths()
	making, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = making.Rollback(context.Background()) }() // after Commit it does nothing
	if _, err := making.Exec(t.Context(), makeMonths, historyMonths); err != nil {
		t.Fatal(err)
	}
	claimed := make(chan error, 1)
	purchase := b.purchase(floor(1))
	go func() {
		_, _, err := b.Claim(context.WithoutCancel(t.Context()), []onsale.Purchase{purchase})
		claimed <- err
	}()
	eventually(t, "the claim waits for the month", func() bool {
		return b.number(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'order_history_default'::regclass`) == 1
	})
	if err := making.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-claimed; err != nil {
		t.Fatal(err)
	}
	if n := b.number(`SELECT count(*) FROM order_history`) - b.number(`SELECT count(*) FROM order_history_default`); n != 1 {
		t.Errorf("%d moves are in their month, want 1", n)
	}
}

func TestAHistoryFromBeforeThePartitionsIsCarriedOverAndBack(t *testing.T) {
	url := storestest.Postgres(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	execute(t, db, `INSERT INTO orders VALUES ('ord_gala_1_x', 'gala', 'b', 'claimed', '', '[]', 1, 'EUR', 'tok', now(), now() - interval '3 months')`)
	if _, err := provider.UpTo(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	execute(t, db, `UPDATE orders SET state = 'declined', reason = 'no', updated_at = now()`)
	for _, back := range []bool{false, true} {
		if back {
			if _, err := provider.DownTo(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
		}
		var moves string
		if err := db.QueryRowContext(t.Context(), `SELECT string_agg(from_state || ' ' || to_state || ' ' || reason, ', ' ORDER BY seq) FROM order_history`).Scan(&moves); err != nil {
			t.Fatal(err)
		}
		if moves != "accepted claimed , claimed declined no" {
			t.Errorf("back %t: %s", back, moves)
		}
	}
	execute(t, db, `INSERT INTO orders VALUES ('ord_gala_1_y', 'gala', 'b', 'claimed', '', '[]', 1, 'EUR', 'tok', now(), now())`)
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
