package persist

import (
	"context"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) { storestest.Main(m) }

var secret = []byte("a secret of the tests")

// book is a store on a database of its own, with one event in it.
type book struct {
	*Store
	t     testing.TB
	url   string
	event *onsale.Event
}

// newBook opens a store with the event "gala": a floor of 10 general places at
// 2500, and stalls of 3 rows of 10 seats at 4000.
func newBook(t testing.TB) *book {
	t.Helper()
	return newBookOn(t, storestest.Postgres(t), Config{Secret: secret})
}

// newBookOn is newBook on a given, empty database.
func newBookOn(t testing.TB, url string, cfg Config) *book {
	t.Helper()
	if err := Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	b := &book{Store: openWith(t, url, cfg), t: t, url: url}
	b.event = b.create(&onsale.Event{ID: "gala", Name: "Gala", StartsAt: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC), Currency: "EUR",
		Sections: []onsale.Section{
			{ID: "floor", Kind: onsale.General, Price: 2500, Capacity: 10},
			{ID: "stalls", Kind: onsale.Reserved, Price: 4000, Grid: &onsale.Grid{Rows: 3, Seats: 10}},
		}})
	return b
}

func open(t testing.TB, url string) *Store {
	t.Helper()
	return openWith(t, url, Config{Secret: secret})
}

func openWith(t testing.TB, url string, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (b *book) create(e *onsale.Event) *onsale.Event {
	b.t.Helper()
	stored, err := b.CreateEvent(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	return stored
}

// purchase is a checkout of a new hold of the event.
func (b *book) purchase(lines ...onsale.Line) onsale.Purchase {
	b.t.Helper()
	hold := onsale.NewHoldID(b.event.ID, 1)
	p := onsale.Purchase{Order: hold.Order(), Hold: hold, Event: b.event.ID, Epoch: 1, Generation: 1, Buyer: onsale.NewBuyerID(),
		Lines: lines, Currency: b.event.Currency, PaymentToken: "tok_ok", At: time.Now().UTC().Truncate(time.Microsecond)}
	amount, err := onsale.NewLayout(b.event).CheckLines(p.Lines)
	if err != nil {
		b.t.Fatal(err)
	}
	p.Amount = amount
	return p
}

func floor(n int) onsale.Line            { return onsale.Line{Section: "floor", Quantity: n} }
func stalls(seats ...string) onsale.Line { return onsale.Line{Section: "stalls", Seats: seats} }

func (b *book) claim(purchases ...onsale.Purchase) ([]onsale.Charge, []onsale.OrderNews) {
	b.t.Helper()
	charges, news, err := b.Claim(b.t.Context(), purchases)
	if err != nil {
		b.t.Fatal(err)
	}
	return charges, news
}

func (b *book) finalise(results ...onsale.ChargeResult) ([]onsale.OrderNews, []Stray) {
	b.t.Helper()
	news, strays, err := b.Finalise(b.t.Context(), results)
	if err != nil {
		b.t.Fatal(err)
	}
	return news, strays
}

func captured(p onsale.Purchase) onsale.ChargeResult {
	return onsale.ChargeResult{Order: p.Order, Event: p.Event, Outcome: onsale.ChargeCaptured, Reference: "ch_" + string(p.Order)[len(p.Order)-8:],
		Amount: p.Amount, Currency: p.Currency, At: time.Now().UTC().Truncate(time.Microsecond)}
}

func declined(p onsale.Purchase) onsale.ChargeResult {
	return onsale.ChargeResult{Order: p.Order, Event: p.Event, Outcome: onsale.ChargeDeclined, Reason: "card_declined", At: time.Now()}
}

func (b *book) state(id onsale.OrderID) onsale.OrderState {
	b.t.Helper()
	o, err := b.Order(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return o.State
}

// number runs a query that gives one number.
func (b *book) number(query string, args ...any) int64 {
	b.t.Helper()
	var n int64
	if err := b.pool.QueryRow(b.t.Context(), query, args...).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// corrupt changes the tables behind the back of their triggers.
func (b *book) corrupt(statements ...string) {
	b.t.Helper()
	conn, err := b.pool.Acquire(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Release()
	statements = append([]string{`SET session_replication_role = replica`}, statements...)
	for _, statement := range append(statements, `RESET session_replication_role`) {
		if _, err := conn.Exec(b.t.Context(), statement); err != nil {
			b.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// audit audits Postgres alone, as of a moment when nothing is under way.
func (b *book) audit() *onsale.AuditReport {
	b.t.Helper()
	report, err := b.Audit(b.t.Context(), AuditInput{Event: b.event.ID, AtRest: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

// eventually waits until the condition holds, a bounded time.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
