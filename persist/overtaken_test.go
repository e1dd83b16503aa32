package persist

import (
	"reflect"
	"testing"

	"onsale"
)

// Finalising locks nothing at first. Whoever else moves one of its orders between its read and
// its write makes it judge again, by what the order has become.
func TestAnOrderThatMovesMeanwhileIsJudgedAgain(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p, other := b.purchase(stalls("A-1")), b.purchase(stalls("A-2"))
	b.claim(p, other)
	declining, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = declining.Rollback(t.Context()) }() // of no effect once it is committed
	for _, statement := range []string{
		`UPDATE orders SET state = 'declined', reason = 'card_declined' WHERE id = $1`,
		`DELETE FROM claims WHERE order_id = $1`,
		`UPDATE sections SET claimed = claimed - 1 WHERE event = (SELECT event FROM orders WHERE id = $1) AND section = 'stalls'`,
	} {
		if _, err := declining.Exec(t.Context(), statement, string(p.Order)); err != nil {
			t.Fatal(err)
		}
	}
	type answer struct {
		news   []onsale.OrderNews
		strays []Stray
		err    error
	}
	answered := make(chan answer, 1)
	go func() { // ends with the transaction above
		news, strays, err := b.Finalise(t.Context(), []onsale.ChargeResult{captured(other), captured(p)})
		answered <- answer{news, strays, err}
	}()
	eventually(t, "it waits for the order", func() bool {
		return b.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	if err := declining.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-answered
	if got.err != nil || len(got.strays) != 0 || len(got.news) != 2 {
		t.Fatalf("%+v", got)
	}
	want := []string{"accepted claimed by settlement", "claimed declined by settlement card_declined",
		"declined claimed by settlement late_payment", "claimed paid by settlement late_payment", "paid ticketed by settlement late_payment"}
	if got := b.history(p.Order); !reflect.DeepEqual(got, want) {
		t.Errorf("history %q", got)
	}
	if n := b.number(`SELECT count(*) FROM tickets`); n != 2 {
		t.Errorf("%d tickets, want 2", n)
	}
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
}
