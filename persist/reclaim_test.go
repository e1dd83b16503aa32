package persist

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"onsale"
)

// moves are an order's, as its history has them: "accepted→claimed …".
func (b *book) moves(p onsale.Purchase) (moves string) {
	b.t.Helper()
	if err := b.pool.QueryRow(b.t.Context(), `SELECT string_agg(from_state || '→' || to_state || ' ' || reason, ', ' ORDER BY seq) FROM order_history WHERE order_id = $1`,
		string(p.Order)).Scan(&moves); err != nil {
		b.t.Fatal(err)
	}
	return moves
}

func TestLatePaymentReclaimsWhatIsStillFree(t *testing.T) {
	b := newBook(t)
	for name, play := range map[string]func(p onsale.Purchase) []onsale.OrderNews{
		"in a batch of its own": func(p onsale.Purchase) []onsale.OrderNews {
			b.finalise(declined(p))
			news, _ := b.finalise(captured(p))
			return news
		},
		"in one batch with what declined it": func(p onsale.Purchase) []onsale.OrderNews {
			news, _ := b.finalise(declined(p), captured(p))
			return news
		},
		"twice": func(p onsale.Purchase) []onsale.OrderNews {
			news, strays := b.finalise(declined(p), captured(p), captured(p))
			if len(strays) > 0 {
				t.Errorf("strays %+v", strays)
			}
			return news
		},
	} {
		p := b.purchase(stalls("A-"+string(rune('1'+len(name)%7)), "B-1"), floor(2))
		b.claim(p)
		news := play(p)
		last := news[len(news)-1]
		if last.State != onsale.OrderTicketed || last.Reason != onsale.ReasonLatePayment {
			t.Errorf("%s: %+v", name, last)
		}
		const late = "declined→claimed late_payment, claimed→paid late_payment, paid→ticketed late_payment"
		if got := b.moves(p); got != "accepted→claimed , claimed→declined card_declined, "+late {
			t.Errorf("%s: %s", name, got)
		}
		// All of it told again, in whatever order, changes nothing.
		if _, strays := b.finalise(declined(p), captured(p)); len(strays) > 0 {
			t.Errorf("%s: told again there are strays %+v", name, strays)
		}
		if tickets, err := b.Tickets(t.Context(), p.Order); err != nil || len(tickets) != 4 {
			t.Errorf("%s: %d tickets, %v", name, len(tickets), err)
		}
		if r := b.audit(); !r.OK() {
			t.Errorf("%s: %v", name, r.Err())
		}
		b.endRefund(b.askRefund(p, "k", onsale.RefundRequest{}).ID, onsale.RefundMade) // for the next one
	}
}

func TestLatePaymentForWhatIsGoneIsPaidBackWhole(t *testing.T) {
	b := newBook(t)
	p, other := b.purchase(stalls("A-1", "A-2")), b.purchase(stalls("A-2"))
	b.claim(p)
	b.finalise(declined(p))
	b.claim(other)
	news, strays := b.finalise(captured(p))
	if len(news) != 1 || news[0].State != onsale.OrderDeclined || len(strays) != 1 || strays[0].Reason != ReasonOrderEnded {
		t.Fatalf("news %+v, strays %+v", news, strays)
	}
	if n := b.number(`SELECT count(*) FROM claims WHERE order_id = $1`, string(p.Order)); n != 0 {
		t.Errorf("it has %d claims: everything or nothing", n)
	}
	refunds, err := b.Refunds(t.Context(), p.Order)
	if err != nil || len(refunds) != 1 || refunds[0].Amount != p.Amount || refunds[0].State != onsale.RefundStateDue {
		t.Errorf("refunds %+v, %v", refunds, err)
	}
	b.endRefund(refunds[0].ID, onsale.RefundMade)
	b.finalise(captured(other))
	if r := b.audit(); !r.OK() || b.state(p.Order) != onsale.OrderDeclined {
		t.Error(r.Err())
	}
}

func TestOfLatePaymentsForOneSeatOneGetsIt(t *testing.T) {
	b := newBook(t)
	var late []onsale.ChargeResult
	var buyers []onsale.Purchase
	for range 6 {
		p := b.purchase(stalls("A-1"))
		b.claim(p)
		b.finalise(declined(p))
		late, buyers = append(late, captured(p)), append(buyers, p)
	}
	var wg sync.WaitGroup
	for i := range late {
		wg.Go(func() {
			if _, _, err := b.Finalise(t.Context(), []onsale.ChargeResult{late[i], late[(i+1)%len(late)]}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if _, _, err := b.Claim(t.Context(), []onsale.Purchase{b.purchase(stalls("A-2"), floor(1))}); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	var states []string
	for _, p := range buyers {
		states = append(states, string(b.state(p.Order)))
	}
	if n := strings.Count(strings.Join(states, " "), string(onsale.OrderTicketed)); n != 1 {
		t.Errorf("%d of them have the seat: %v", n, states)
	}
	if due := b.number(`SELECT count(*) FROM refunds WHERE state = 'due'`); due != 5 {
		t.Errorf("%d are paid back, want 5", due)
	}
}

// TestPostgresAllowsTheMovesOfTheVocabulary holds the table to onsale.OrderState.CanBecome.
func TestPostgresAllowsTheMovesOfTheVocabulary(t *testing.T) {
	b := newBook(t)
	states := []onsale.OrderState{onsale.OrderAccepted, onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed, onsale.OrderRejected, onsale.OrderDeclined, onsale.OrderRefunded}
	legal := int64(0)
	for _, from := range states {
		for _, to := range states {
			n := b.number(`SELECT count(*) FROM order_transitions WHERE from_state = $1 AND to_state = $2`, string(from), string(to))
			if legal += n; (n == 1) != from.CanBecome(to) {
				t.Errorf("%s → %s: %t in the vocabulary, %d in Postgres", from, to, from.CanBecome(to), n)
			}
		}
	}
	if all := b.number(`SELECT count(*) FROM order_transitions`); all != legal {
		t.Errorf("Postgres has %d moves, %d of them between states that there are", all, legal)
	}
}

// TestEachMoveOfAStrideIsAnOrdersOwn: what one statement moves twice is in the history as two
// moves of the vocabulary, and nothing else can be declared a stride.
func TestEachMoveOfAStrideIsAnOrdersOwn(t *testing.T) {
	b := newBook(t)
	rows, err := b.pool.Query(t.Context(), `SELECT from_state, via, to_state FROM order_strides`)
	if err != nil {
		t.Fatal(err)
	}
	var from, via, to onsale.OrderState
	if _, err := pgx.ForEachRow(rows, []any{&from, &via, &to}, func() error {
		if !from.CanBecome(via) || !via.CanBecome(to) || from.CanBecome(to) {
			t.Errorf("%s → %s → %s is no stride", from, via, to)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{`('rejected', 'claimed', 'paid')`, `('claimed', 'paid', 'declined')`, `('claimed', 'paid', NULL)`} {
		if _, err := b.pool.Exec(t.Context(), `INSERT INTO order_strides (from_state, via, to_state) VALUES `+wrong); err == nil {
			t.Errorf("%s is taken as a stride", wrong)
		}
	}
	p := b.purchase(floor(1))
	b.claim(p)
	b.finalise(captured(p))
	moves, err := b.History(t.Context(), p.Order)
	if err != nil {
		t.Fatal(err)
	}
	at := onsale.OrderAccepted
	for _, m := range moves {
		if m.From != at || !m.From.CanBecome(m.To) || m.Actor != onsale.ActorSettlement || m.At.IsZero() {
			t.Errorf("%+v after %s", m, at)
		}
		at = m.To
	}
	if at != onsale.OrderTicketed || len(moves) != 3 {
		t.Errorf("%+v", moves)
	}
}
