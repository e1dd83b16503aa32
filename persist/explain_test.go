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
var big = []string{"orders", "order_history", "claims", "payments", "tickets", "sections"}

const (
	bigEvents = 200
	bigOrders = 500 // of each event
)

// fill makes the tables big, as if many events had sold out.
func (b *book) fill() {
	b.t.Helper()
	of := fmt.Sprintf(`FROM generate_series(1, %d) AS e, LATERAL generate_series(1, %d) AS o`, bigEvents, bigOrders)
	const event, order = `'event-' || e`, `'ord_event-' || e || '_1_' || o`
	for _, statement := range []string{
		`INSERT INTO events (id, definition) SELECT ` + event + `, definition FROM events, generate_series(1, ` + fmt.Sprint(bigEvents) + `) AS e`,
		`INSERT INTO sections SELECT DISTINCT ` + event + `, 'floor-' || o % 100, 10 ` + of,
		`INSERT INTO orders SELECT ` + order + `, ` + event + `, 'buy_' || o * 7 % 20000 + e, 'claimed', '', '[]', 1, 'EUR', 'tok', now(), now() ` + of,
		`INSERT INTO claims SELECT ` + event + `, ` + order + `, 'floor-' || o % 100, 'A-' || o, 1 ` + of,
		`INSERT INTO payments SELECT ` + event + `, ` + order + `, 'ch', 'settled', '', 1, 'EUR', now(), now() ` + of,
		`INSERT INTO tickets (event, order_id, number, section, seat, issued_at, owner) SELECT ` + event + `, ` + order + `, 1, 'floor-' || o % 100, 'A-' || o, now(), 'buy_' || o ` + of,
		`VACUUM ANALYZE`,
	} {
		if _, err := b.pool.Exec(b.t.Context(), statement); err != nil {
			b.t.Fatalf("%s: %v", statement, err)
		}
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
	for at, statement := range found {
		plan := explain(t, conn, statement)
		for _, table := range plan.scanned(big) {
			t.Errorf("%s reads %s from end to end:\n%s\n%s", at, table, statement, plan.text)
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
	var plans []struct{ Plan node }
	if err := json.Unmarshal(told, &plans); err != nil {
		t.Fatal(err)
	}
	return &plan{string(told), plans[0].Plan}
}

// scanned are the big tables that the plan reads from end to end.
func (p *plan) scanned(big []string) (tables []string) {
	var look func(node)
	look = func(n node) {
		if n.Type == "Seq Scan" && slices.Contains(big, n.Relation) {
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
