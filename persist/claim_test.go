package persist

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"onsale"
)

func TestClaimedOrderOwnsItsInventoryAndIsCharged(t *testing.T) {
	b := newBook(t)
	p := b.purchase(stalls("A-1", "A-2"), floor(3))
	charges, news := b.claim(p)
	if len(charges) != 1 || len(news) != 0 {
		t.Fatalf("got %d charges and %d news, want a charge", len(charges), len(news))
	}
	if c := charges[0]; c.Order != p.Order || c.Amount != 2*4000+3*2500 || c.PaymentToken != "tok_ok" || c.Event != "gala" || c.Currency != "EUR" || c.At.IsZero() {
		t.Errorf("charge %+v", c)
	}
	o, err := b.Order(t.Context(), p.Order)
	if err != nil {
		t.Fatal(err)
	}
	want := onsale.Order{ID: p.Order, Event: "gala", Hold: p.Hold, Buyer: p.Buyer, State: onsale.OrderClaimed, Lines: p.Lines,
		Amount: p.Amount, Currency: "EUR", AcceptedAt: p.At, UpdatedAt: charges[0].At}
	if !reflect.DeepEqual(*o, want) {
		t.Errorf("got  %+v\nwant %+v", *o, want)
	}
	if n := b.number(`SELECT claimed FROM sections WHERE section = 'floor'`); n != 3 {
		t.Errorf("%d claimed of the floor, want 3", n)
	}
}

func TestOrderThatCanNotHaveEverythingGetsNothingAndCostsNobodyASeat(t *testing.T) {
	b := newBook(t)
	first := b.purchase(stalls("A-1"))
	greedy := b.purchase(stalls("A-2", "A-1"), floor(2)) // A-1 is gone: A-2 and the floor must stay free
	later := b.purchase(stalls("A-2"), floor(4))
	rest := b.purchase(floor(6)) // as many as are left beside later's 4
	one := b.purchase(floor(1))
	charges, news := b.claim(first, greedy, later, rest, one)
	if got, want := chargedOrders(charges), []onsale.OrderID{first.Order, later.Order, rest.Order}; !reflect.DeepEqual(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	if len(news) != 2 || news[0].Order != greedy.Order || news[1].Order != one.Order || news[0].Reason != ReasonSoldOut || news[0].State != onsale.OrderRejected {
		t.Errorf("rejected %+v", news)
	}
	if r := b.audit(); r.Oversold != 0 || r.Sections[0].Claimed != 10 || r.Sections[1].Claimed != 2 {
		t.Errorf("audit: %+v", r)
	}
}

func TestRepeatedClaimChangesNothingAndTellsTheSame(t *testing.T) {
	b := newBook(t)
	won, lost := b.purchase(stalls("A-1"), floor(2)), b.purchase(stalls("A-1"))
	charges, news := b.claim(won, lost, won)
	for range 2 {
		again, newsAgain := b.claim(lost, won)
		if !reflect.DeepEqual(again, charges) || !reflect.DeepEqual(newsAgain, news) {
			t.Fatalf("the repeat told %+v %+v, want %+v %+v", again, newsAgain, charges, news)
		}
	}
	ended, _ := b.finalise(captured(won))
	if again, newsAgain := b.claim(won); len(again) != 0 || !reflect.DeepEqual(newsAgain, ended) {
		t.Errorf("after its end the repeat told %+v %+v, want the news of its end %+v", again, newsAgain, ended)
	}
	if n := b.number(`SELECT count(*) FROM orders`); n != 2 {
		t.Errorf("%d orders, want 2", n)
	}
	if n := b.number(`SELECT sum(claimed) FROM sections`); n != 3 {
		t.Errorf("%d claimed, want 3", n)
	}
}

func TestPurchaseThatNoHoldCanHaveIsRejectedWithItsReason(t *testing.T) {
	b := newBook(t)
	cases := map[string]func(*onsale.Purchase){
		ReasonWrongAmount:                 func(p *onsale.Purchase) { p.Amount-- },
		string(onsale.CodeUnknownSection): func(p *onsale.Purchase) { p.Lines[0].Section = "balcony" },
		string(onsale.CodeUnknownSeat):    func(p *onsale.Purchase) { p.Lines = []onsale.Line{stalls("Z-99")} },
		string(onsale.CodeBadQuantity):    func(p *onsale.Purchase) { p.Lines[0].Quantity = 0 },
		ReasonUnknownEvent: func(p *onsale.Purchase) {
			p.Hold = onsale.NewHoldID("nowhere", 1)
			p.Order, p.Event = p.Hold.Order(), "nowhere"
		},
	}
	fine := b.purchase(floor(1))
	for reason, spoil := range cases {
		p := b.purchase(floor(1))
		spoil(&p)
		for range 2 { // the repeat is the same
			charges, news := b.claim(fine, p)
			if len(charges) != 1 || len(news) != 1 || news[0].Reason != reason || news[0].Order != p.Order {
				t.Errorf("%s: charges %+v, news %+v", reason, charges, news)
			}
		}
	}
	currency := b.purchase(floor(1))
	currency.Currency = "USD"
	if _, news := b.claim(currency); len(news) != 1 || news[0].Reason != ReasonWrongAmount {
		t.Errorf("another currency: %+v", news)
	}
	if n := b.number(`SELECT claimed FROM sections WHERE section = 'floor'`); n != 1 {
		t.Errorf("%d claimed, want 1", n)
	}
}

func TestFiftySettlersNeverSellASeatTwiceNorTheLastPlaceTwice(t *testing.T) {
	b := newBook(t)
	const settlers, each = 50, 6
	var wg sync.WaitGroup
	var mu sync.Mutex
	claimed, rejected := 0, 0 // under mu
	for n := range settlers {
		var batch []onsale.Purchase
		random := rand.New(rand.NewPCG(uint64(n), 1))
		for i := range each {
			seat := 1 + random.IntN(9)
			pair := stalls(fmt.Sprintf("A-%d", seat), fmt.Sprintf("A-%d", seat+1))
			switch i % 3 {
			case 0:
				batch = append(batch, b.purchase(floor(1+random.IntN(3))))
			case 1:
				batch = append(batch, b.purchase(pair))
			default:
				batch = append(batch, b.purchase(pair, floor(1)))
			}
		}
		wg.Go(func() {
			charges, news, err := b.Claim(t.Context(), batch)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			claimed, rejected = claimed+len(charges), rejected+len(news)
		})
	}
	wg.Wait()
	if claimed+rejected != settlers*each || claimed == 0 {
		t.Fatalf("%d claimed and %d rejected of %d", claimed, rejected, settlers*each)
	}
	if n := b.number(`SELECT claimed FROM sections WHERE section = 'floor'`); n != 10 {
		t.Errorf("%d of 10 places claimed: some were kept from sale", n)
	}
	assertNothingBroken(t, b)
}

func TestTwoSettlersWithTheSameBatchClaimItOnce(t *testing.T) {
	b := newBook(t)
	for range 10 {
		batch := []onsale.Purchase{b.purchase(stalls("A-1")), b.purchase(floor(1)), b.purchase(floor(1), stalls("B-1"))}
		b.corrupt(`DELETE FROM claims`, `UPDATE sections SET claimed = 0`, `UPDATE orders SET state = 'rejected'`)
		told := make([][]onsale.OrderID, 2)
		var wg sync.WaitGroup
		for i := range told {
			wg.Go(func() {
				charges, news, err := b.Claim(t.Context(), batch)
				if err != nil || len(news) > 0 {
					t.Errorf("%v, rejected %+v", err, news)
				}
				told[i] = chargedOrders(charges)
			})
		}
		wg.Wait()
		if len(told[0]) != 3 || !reflect.DeepEqual(told[0], told[1]) {
			t.Fatalf("one was told %v, the other %v", told[0], told[1])
		}
		if n := b.number(`SELECT sum(claimed) FROM sections`); n != 4 {
			t.Fatalf("%d claimed, want 4", n)
		}
	}
}

func TestPostgresRefusesAnOversaleWhateverTheCodeDoes(t *testing.T) {
	b := newBook(t)
	b.claim(b.purchase(stalls("A-1")))
	for name, statement := range map[string]string{
		"a seat again":   `INSERT INTO claims (event, order_id, section, seat, quantity) VALUES ('gala', 'ord_gala_x', 'stalls', 'A-1', 1)`,
		"beyond":         `UPDATE sections SET claimed = capacity + 1`,
		"below nothing":  `UPDATE sections SET claimed = -1`,
		"half an order":  `DELETE FROM orders`,
		"another past":   `UPDATE order_history SET at = now()`,
		"no past":        `DELETE FROM order_history`,
		"emptied":        `TRUNCATE order_history`,
		"illegal move":   `UPDATE orders SET state = 'refunded'`,
		"changed terms":  `UPDATE orders SET state = 'paid', amount = 0`,
		"illegal birth":  `INSERT INTO orders SELECT 'ord_gala_y', event, buyer, 'ticketed', reason, lines, amount, currency, payment_token, accepted_at, updated_at FROM orders`,
		"not an order":   `INSERT INTO orders SELECT 'y', event, buyer, state, reason, lines, amount, currency, payment_token, accepted_at, updated_at FROM orders`,
		"forgotten cash": `DELETE FROM payments`,
	} {
		if _, err := b.pool.Exec(t.Context(), statement); !hopeless(err) && !conflict(err) {
			t.Errorf("%s: %s gives %v", name, statement, err)
		}
	}
}

func TestTransitionsInPostgresAreThoseInGo(t *testing.T) {
	b := newBook(t)
	states := []onsale.OrderState{onsale.OrderAccepted, onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed,
		onsale.OrderRejected, onsale.OrderDeclined, onsale.OrderRefunded}
	p := b.purchase(floor(1))
	b.claim(p)
	for _, from := range states {
		for _, to := range states {
			b.corrupt(fmt.Sprintf(`UPDATE orders SET state = '%s'`, from))
			_, err := b.pool.Exec(t.Context(), `UPDATE orders SET state = $1`, string(to))
			stride := from == onsale.OrderClaimed && to == onsale.OrderTicketed // by way of paid
			if (err == nil) != (from.CanBecome(to) || stride) {
				t.Errorf("%s → %s: Go says %t, Postgres %v", from, to, from.CanBecome(to), err)
			}
		}
	}
}

func TestEveryMoveOfAnOrderIsInItsHistory(t *testing.T) {
	b := newBook(t)
	sold, refused := b.purchase(stalls("A-1")), b.purchase(floor(2))
	b.claim(sold, refused)
	b.finalise(captured(sold), declined(refused))
	for order, want := range map[onsale.OrderID][]string{
		sold.Order:    {"accepted claimed ", "claimed paid ", "paid ticketed "},
		refused.Order: {"accepted claimed ", "claimed declined card_declined"},
	} {
		rows, err := b.pool.Query(t.Context(), `SELECT from_state || ' ' || to_state || ' ' || reason FROM order_history WHERE order_id = $1 ORDER BY seq`, string(order))
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
}

func TestMalformedPurchaseIsKnownAsOne(t *testing.T) {
	b := newBook(t)
	fine := b.purchase(floor(1))
	if err := wellFormed(&fine); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*onsale.Purchase){
		"no order":           func(p *onsale.Purchase) { p.Order = "ord_gala" },
		"another's hold":     func(p *onsale.Purchase) { p.Hold = onsale.NewHoldID("gala", 1) },
		"another event":      func(p *onsale.Purchase) { p.Event = "ball" },
		"no time":            func(p *onsale.Purchase) { p.At = time.Time{} },
		"zero byte in token": func(p *onsale.Purchase) { p.PaymentToken = "tok\x00" },
	} {
		p := fine
		if spoil(&p); wellFormed(&p) == nil {
			t.Errorf("%s: taken for a purchase", name)
		}
	}
}

func chargedOrders(charges []onsale.Charge) []onsale.OrderID {
	var ids []onsale.OrderID
	for _, c := range charges {
		ids = append(ids, c.Order)
	}
	return ids
}

// assertNothingBroken audits Postgres as during a sale.
func assertNothingBroken(t *testing.T, b *book) {
	t.Helper()
	report, err := b.Audit(t.Context(), AuditInput{Event: b.event.ID})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil || report.Oversold != 0 {
		t.Errorf("oversold %d: %v", report.Oversold, err)
	}
}
