package persist

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

const (
	poolerConns  = 20 // the pooler's to Postgres
	poolerGroups = 8  // settlers at once
	poolerRounds = 6  // batches of each
	poolerBatch  = 20
)

// pooled is a book that is reached through a PgBouncer in transaction mode, with more
// connections than that has.
type pooled struct {
	*book
	bouncer *stores.PgBouncer
	refunds atomic.Int64
}

func newPooled(t *testing.T) *pooled {
	t.Helper()
	postgres := storestest.PrivatePostgres(t)
	p := &pooled{bouncer: storestest.PgBouncer(t, postgres, poolerConns)}
	p.book = newBookOn(t, postgres.URL(), Config{Secret: secret}) // migrating needs Postgres itself
	p.Store = openWith(t, p.bouncer.DatabaseURL("onsale"), Config{Secret: secret, MaxConns: 2 * poolerConns})
	p.event = p.create(&onsale.Event{ID: "arena", Name: "Arena", Currency: "EUR",
		StartsAt: p.event.StartsAt, Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 2500, Capacity: 10_000}}})
	return p
}

// settle takes one batch from its claim to its end, again and again until each step
// is done, as the settler does.
func (p *pooled) settle(ctx context.Context, buyer onsale.BuyerID) {
	var purchases []onsale.Purchase
	var results []onsale.ChargeResult
	for i := range poolerBatch {
		purchase := p.purchase(floor(1))
		purchase.Buyer = buyer
		purchases = append(purchases, purchase)
		if i%2 == 0 {
			results = append(results, captured(purchase))
		} else {
			results = append(results, declined(purchase))
		}
	}
	p.insist(ctx, func() error { _, _, err := p.Claim(ctx, purchases); return err })
	p.insist(ctx, func() error { _, _, err := p.Finalise(ctx, results); return err })
	p.insist(ctx, func() error { _, _, err := p.Orders(ctx, buyer, MaxOrdersPage, ""); return err })
	p.insist(ctx, func() error { _, err := p.History(ctx, purchases[0].Order); return err })
	p.insist(ctx, func() error { _, err := p.OpenOrders(ctx, p.event.ID); return err })
	// Each says once who it is; that must never be taken for what another one does.
	p.insist(ctx, func() error {
		return p.inTx(As(ctx, onsale.ActorOperator), "refund", pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE orders SET state = 'refunded', updated_at = now() WHERE id = $1 AND state = 'ticketed'`, string(purchases[0].Order))
			return err
		})
	})
	p.refunds.Add(1)
}

// insist does it until it is done. Only what passes by itself may go wrong.
func (p *pooled) insist(ctx context.Context, do func() error) {
	for {
		err := do()
		if err == nil || ctx.Err() != nil {
			return
		}
		if onsale.CodeOf(err) != onsale.CodeUnavailable {
			p.t.Errorf("through the pooler: %v", err)
			return
		}
	}
}

// storm settles with everybody at once.
func (p *pooled) storm(done *atomic.Int64) *sync.WaitGroup {
	var all sync.WaitGroup
	for range poolerGroups {
		buyer := onsale.NewBuyerID()
		all.Go(func() {
			for range poolerRounds {
				p.settle(p.t.Context(), buyer)
				done.Add(1)
			}
		})
	}
	return &all
}

// settled checks that every order came to its end once.
func (p *pooled) settled() {
	p.t.Helper()
	const orders = poolerGroups * poolerRounds * poolerBatch
	// A ticketed order that is refunded by this test alone keeps its claim and payment, so it is not audited.
	for query, want := range map[string]int64{
		`SELECT count(*) FROM orders WHERE event = 'arena'`:                                                      orders,
		`SELECT count(*) FROM orders WHERE state IN ('ticketed', 'refunded')`:                                    orders / 2,
		`SELECT count(*) FROM orders WHERE state = 'declined'`:                                                   orders / 2,
		`SELECT claimed FROM sections WHERE event = 'arena'`:                                                     orders / 2,
		`SELECT count(*) FROM tickets`:                                                                           orders / 2,
		`SELECT count(*) FROM order_history WHERE actor = 'operator'`:                                            p.refunds.Load(),
		`SELECT count(*) FROM order_history WHERE (actor = 'operator') IS DISTINCT FROM (to_state = 'refunded')`: 0,
	} {
		if n := p.number(query); n != want {
			p.t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
}

func TestTheBookIsKeptThroughAPoolerInTransactionMode(t *testing.T) {
	t.Parallel()
	p := newPooled(t)
	var done atomic.Int64
	all := p.storm(&done)
	for done.Load() < poolerGroups { // while it goes on
		if _, err := p.Audit(t.Context(), AuditInput{Event: "gala"}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.StockView(t.Context(), p.event.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := p.makeMonths(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	p.settled()
}

func TestAPoolerThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	p := newPooled(t)
	var done atomic.Int64
	all := p.storm(&done)
	for round := range int64(3) {
		eventually(t, "the storm goes on", func() bool { return done.Load() > round*poolerGroups })
		if err := errors.Join(p.bouncer.Kill(), p.bouncer.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	p.settled()
	if err := p.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A connection to a server prepares its statements by name; one to a pooler has nothing that depends on which server it meets.
func TestStatementsArePreparedWhereThereIsNoPoolerBetween(t *testing.T) {
	t.Parallel()
	p := newPooled(t)
	direct := openWith(t, p.url, Config{Secret: secret})
	for name, c := range map[string]struct {
		store *Store
		some  bool
	}{"direct": {direct, true}, "pooled": {p.Store, false}} {
		if _, err := c.store.Events(t.Context()); err != nil { // the first connection is there, and knows
			t.Fatal(err)
		}
		one, err := c.store.pool.Acquire(t.Context()) // so that the next one is new
		if err != nil {
			t.Fatal(err)
		}
		var prepared int
		for range 2 {
			if err := c.store.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''").Scan(&prepared); err != nil {
				t.Fatal(err)
			}
		}
		one.Release()
		if (prepared > 0) != c.some {
			t.Errorf("%s: %d statements are prepared by name", name, prepared)
		}
	}
}
