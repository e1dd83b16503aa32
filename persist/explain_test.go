package persist

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// big are the tables that grow with what is sold. No query may read one of them from
// end to end.
var big = []string{"orders", "order_history", "claims", "payments", "tickets", "sections",
	"refunds", "ticket_history", "checkins", "transfers", "contacts", "deliveries"}

const (
	bigEvents = 200
	bigOrders = 500 // of each event
)

// fill makes the tables big, as if many events had sold out.
func (b *book) fill() {
	b.t.Helper()
	of := fmt.Sprintf(`FROM generate_series(1, %d) AS e, LATERAL generate_series(1, %d) AS o`, bigEvents, bigOrders)
	const event, order = `'event-' || e`, `'ord_event-' || e || '_1_' || o`
	const buyer, tall = `'buy_' || (o * 7 % 20000 + e)`, `o * 1000 + e`
	b.corrupt( // the rows alone: nothing follows from them
		`INSERT INTO events (id, definition) SELECT `+event+`, definition FROM events, generate_series(1, `+fmt.Sprint(bigEvents)+`) AS e`,
		`INSERT INTO sections SELECT DISTINCT `+event+`, 'floor-' || o % 100, 10 `+of,
		`INSERT INTO orders SELECT `+order+`, `+event+`, `+buyer+`, 'ticketed', '', '[]', 1, 'EUR', 'tok', now(), now() `+of,
		`INSERT INTO order_history (order_id, from_state, to_state, reason, at) SELECT `+order+`, 'accepted', 'claimed', '', now() `+of,
		`INSERT INTO claims SELECT `+event+`, `+order+`, 'floor-' || o % 100, 'A-' || o, 1 `+of,
		`INSERT INTO payments SELECT `+event+`, `+order+`, 'ch', 'settled', '', 1, 'EUR', now(), now() `+of,
		`INSERT INTO refunds (id, event, order_id, payment, asked_by, key, asked, tickets, amount, currency, reason, state, next_at, asked_at, ended_at, told_at)
			SELECT 'ref_' || `+tall+`, `+event+`, `+order+`, 'ch', 'operator', 'k', '{}', '{}', 1, 'EUR', '', 'made', now(), now(), now(), now() `+of,
		`INSERT INTO tickets (event, order_id, number, section, seat, owner, issued_at)
			SELECT `+event+`, `+order+`, 1, 'floor-' || o % 100, 'A-' || o, `+buyer+`, now() `+of,
		`INSERT INTO ticket_history (event, order_id, number, state, owner, serial) SELECT `+event+`, `+order+`, 1, 'valid', `+buyer+`, 2 `+of,
		`INSERT INTO checkins SELECT `+event+`, `+order+`, 1, 1, 'north', 'k' || o, now() `+of,
		`INSERT INTO transfers (token_hash, event, order_id, number, serial, state, from_owner, to_owner, offered_at, expires_at, ended_at)
			SELECT sha256((`+order+`)::bytea), `+event+`, `+order+`, 1, 1, 'accepted', `+buyer+`, 'buy_x', now(), now() + interval '1 day', now() `+of,
		`INSERT INTO contacts SELECT 'buy_' || `+tall+`, 'a@b.c' `+of,
		`INSERT INTO deliveries (order_id, told, lane, buyer, reason, at, state, attempts, ended_at)
			SELECT `+order+`, 'ticketed', 'email', `+buyer+`, '', now(), 'sent', 1, now() `+of,
	)
	if _, err := b.pool.Exec(b.t.Context(), `VACUUM ANALYZE`); err != nil {
		b.t.Fatal(err)
	}
}

// fullPartition is the one of the history that has the rows: to read an empty one costs nothing.
func (b *book) fullPartition() (name string) {
	b.t.Helper()
	if err := b.pool.QueryRow(b.t.Context(), `SELECT tableoid::regclass::text FROM order_history LIMIT 1`).Scan(&name); err != nil {
		b.t.Fatal(err)
	}
	return name
}

func TestNoQueryReadsABigTableFromEndToEnd(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.fill()
	conn, err := pgx.Connect(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	// The plan for any arguments: what it is for some could be luck.
	if _, err := conn.Exec(t.Context(), `SET plan_cache_mode = force_generic_plan`); err != nil {
		t.Fatal(err)
	}
	big := append(slices.Clone(big), b.fullPartition())
	found := statements(t)
	if len(found) < 40 {
		t.Errorf("only %d statements found", len(found))
	}
	for at, texts := range found {
		for _, statement := range texts {
			plan := explain(t, conn, statement)
			for _, table := range plan.scanned(big) {
				t.Errorf("%s reads %s from end to end:\n%s\n%s", at, table, statement, plan.text)
			}
		}
	}
	// And the check can fail.
	if scanned := explain(t, conn, `SELECT count(*) FROM orders WHERE amount = $1`).scanned(big); !slices.Equal(scanned, []string{"orders"}) {
		t.Errorf("a query without an index scans %q", scanned)
	}
}

type plan struct {
	text string
	root node
}

// node is one of a plan's, as EXPLAIN gives it.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Plans    []node `json:"Plans"`
}

func explain(t *testing.T, conn *pgx.Conn, statement string) *plan {
	t.Helper()
	prepared, err := conn.Prepare(t.Context(), "explained", statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	text := `EXPLAIN (FORMAT JSON) EXECUTE explained`
	if n := len(prepared.ParamOIDs); n > 0 {
		text += `(` + strings.Repeat(`, NULL`, n)[2:] + `)`
	}
	var told []byte
	if err := conn.QueryRow(t.Context(), text, pgx.QueryExecModeSimpleProtocol).Scan(&told); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if err := conn.Deallocate(t.Context(), "explained"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(told), `"Utility Statement"`) { // as LOCK TABLE, which reads nothing
		return &plan{}
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(told, &plans); err != nil {
		t.Fatalf("%v in the plan of %s:\n%s", err, statement, told)
	}
	return &plan{string(told), plans[0].Plan}
}

// scanned are the big tables that the plan reads from end to end.
func (p *plan) scanned(big []string) (tables []string) {
	var look func(node)
	look = func(n node) {
		if strings.HasSuffix(n.Type, "Seq Scan") && slices.Contains(big, n.Relation) {
			tables = append(tables, n.Relation)
		}
		for _, inner := range n.Plans {
			look(inner)
		}
	}
	look(p.root)
	return tables
}

// A plan for any arguments is one thing, what is run with those of a whole batch
// another, and what the triggers run a third: Postgres counts what was really read.
func TestSettlingAWholeBatchReadsNoBigTableFromEndToEnd(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.fill()
	arena := b.create(&onsale.Event{ID: "arena", Name: "Arena", Currency: "EUR", StartsAt: b.event.StartsAt,
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 2500, Capacity: 10_000}, {ID: "stalls", Kind: onsale.Reserved, Price: 10, Grid: &onsale.Grid{Rows: 20, Seats: 100}}}})
	b.event = arena
	scans := func() map[string]int64 {
		counts := map[string]int64{}
		rows, err := b.pool.Query(t.Context(), `SELECT relname, coalesce(seq_scan, 0) FROM pg_stat_user_tables`)
		if err != nil {
			t.Fatal(err)
		}
		var table string
		var n int64
		if _, err := pgx.ForEachRow(rows, []any{&table, &n}, func() error { counts[table] = n; return nil }); err != nil {
			t.Fatal(err)
		}
		return counts
	}
	b.pool.Reset() // a connection that ends tells what it has counted
	before := scans()
	settling := openWith(t, b.url, Config{Secret: secret, MaxConns: 1})
	var purchases []onsale.Purchase
	var results []onsale.ChargeResult
	for i := range defaultBatch {
		p := b.purchase(stalls(fmt.Sprintf("%c-%d", 'A'+i/100, i%100+1)), floor(1))
		purchases = append(purchases, p)
		if i%2 == 0 {
			results = append(results, captured(p))
		} else {
			results = append(results, declined(p))
		}
	}
	for range 2 { // a repeat finds its rows
		if _, _, err := settling.Claim(t.Context(), purchases); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, _, err := settling.Finalise(t.Context(), results); err != nil {
			t.Fatal(err)
		}
	}
	settling.Close()
	eventually(t, "the counts are in", func() bool {
		return b.number(`SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'orders'`) >= bigEvents*bigOrders+defaultBatch
	})
	after := scans()
	for _, table := range append(slices.Clone(big), b.fullPartition()) {
		if after[table] != before[table] {
			t.Errorf("%s was read from end to end %d times", table, after[table]-before[table])
		}
	}
}
