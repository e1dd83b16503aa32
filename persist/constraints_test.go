package persist

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What no code of ours does, the tables refuse all the same, each for the reason that
// is meant and not for another one.
func TestEachWrongStateIsRefusedByWhatIsMeantTo(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	sold := b.purchase(stalls("A-1"))
	b.claim(sold)
	b.finalise(captured(sold))
	const (
		order   = `INSERT INTO orders (id, event, buyer, state, lines, amount, currency, payment_token, accepted_at, updated_at) VALUES `
		claim   = `INSERT INTO claims (event, order_id, section, seat, quantity) VALUES `
		payment = `INSERT INTO payments (event, order_id, reference, state, amount, currency, captured_at, recorded_at) VALUES `
		ticket  = `INSERT INTO tickets (event, order_id, number, section, seat, owner, issued_at) VALUES `
	)
	for _, wrong := range []struct{ statement, by string }{
		{`INSERT INTO events (id, definition, sale) VALUES ('x', '{}', 'maybe')`, "events_sale_check"},
		{`INSERT INTO events (id, definition, epoch) VALUES ('x', '{}', -1)`, "events_epoch_check"},
		{`UPDATE events SET definition = '{}'`, "can not be changed"},
		{`UPDATE events SET epoch = 5; UPDATE events SET epoch = 4`, "can not fall"},
		{`INSERT INTO sections (event, section, capacity) VALUES ('nowhere', 'floor', 1)`, "sections_event_fkey"},
		{`INSERT INTO sections (event, section, capacity) VALUES ('gala', 'none', 0)`, "sections_capacity_check"},
		{`UPDATE sections SET claimed = capacity + 1`, "sections_never_oversold"},
		{`UPDATE sections SET claimed = -1`, "sections_never_oversold"},
		{`UPDATE sections SET capacity = capacity + 1`, "no UPDATE on sections"},
		{`UPDATE sections SET section = 'roof' WHERE section = 'floor'`, "no UPDATE on sections"},

		{order + `('gala_1_x', 'gala', 'b', 'claimed', '[]', 1, 'EUR', 't', now(), now())`, "orders_"},
		{order + `('ord_ball_1_x', 'gala', 'b', 'claimed', '[]', 1, 'EUR', 't', now(), now())`, "orders_of_their_event"},
		{order + `('ord_gala2_1_x', 'gala', 'b', 'claimed', '[]', 1, 'EUR', 't', now(), now())`, "orders_of_their_event"},
		{order + `('ord_gala_1_x', 'gala', 'b', 'claimed', '[]', -1, 'EUR', 't', now(), now())`, "orders_cost_something"},
		{order + `('ord_gala_1_x', 'gala', 'b', 'claimed', '[]', 1, '', 't', now(), now())`, "orders_have_a_currency"},
		{order + `('ord_gala_1_x', 'gala', 'b', 'ticketed', '[]', 1, 'EUR', 't', now(), now())`, "can not become"},
		{order + `('ord_gala_1_x', 'gala', 'b', 'lost', '[]', 1, 'EUR', 't', now(), now())`, "can not become"},
		{`UPDATE orders SET state = 'claimed'`, "can not become"},
		{`UPDATE orders SET state = 'refunded', amount = 1`, "terms were changed"},
		{`UPDATE orders SET state = 'refunded', payment_token = 'tok_other'`, "terms were changed"},
		{`UPDATE orders SET state = 'refunded', id = 'ord_gala_1_x'`, "can not become"},
		{`DELETE FROM orders`, "kept for good"},
		{`TRUNCATE orders`, "kept for good"},
		{`INSERT INTO order_history (order_id, from_state, to_state, reason, actor, at) VALUES ('ord_gala_1_x', 'a', 'b', '', '', now())`, "order_history_actor_check"},

		{claim + `('gala', 'ord_gala_1_x', 'stalls', 'A-1', 1)`, "claims_one_per_seat"},
		{claim + `('gala', 'ord_gala_1_x', 'stalls', 'A-2', 2)`, "claims_check"},
		{claim + `('gala', 'ord_gala_1_x', 'floor', '', 0)`, "claims_check"},
		{claim + `('gala', 'ord_ball_1_x', 'floor', '', 1)`, "claims_of_their_event"},
		{`UPDATE claims SET quantity = quantity + 1`, "no UPDATE on claims"},
		{`UPDATE claims SET order_id = 'ord_gala_1_x'`, "no UPDATE on claims"},
		{`UPDATE claims SET seat = 'A-2'`, "no UPDATE on claims"},

		{payment + `('gala', '` + string(sold.Order) + `', 'twice', 'settled', 1, 'EUR', now(), now())`, "payments_one_settles"},
		{payment + `('gala', 'ord_gala_1_x', 'ch', 'perhaps', 1, 'EUR', now(), now())`, "payments_state_check"},
		{payment + `('gala', 'ord_gala_1_x', '', 'refund_due', 1, 'EUR', now(), now())`, "payments_have_a_reference"},
		{payment + `('gala', 'ord_gala_1_x', 'ch', 'refund_due', -1, 'EUR', now(), now())`, "payments_never_overpaid_back"},
		{payment + `('gala', 'ord_ball_1_x', 'ch', 'refund_due', 1, 'EUR', now(), now())`, "payments_of_their_event"},
		{payment + `('gala', 'ord_gala_1_x', 'ch', 'refund_due', 1, 'EUR', now(), now())`, "payments_with_a_reason_bought_nothing"},
		{payment + `('gala', 'ord_gala_1_x', 'ch', 'refunded', 1, 'EUR', now(), now())`, "no INSERT on payments"},
		{`INSERT INTO payments (event, order_id, reference, state, amount, currency, captured_at, recorded_at, paying_back)
			VALUES ('gala', 'ord_gala_1_x', 'ch', 'settled', 1, 'EUR', now(), now(), 1)`, "no INSERT on payments"},
		{`UPDATE payments SET amount = amount + 1`, "can not be changed"},
		{`UPDATE payments SET currency = 'USD'`, "can not be changed"},
		{`UPDATE payments SET reference = 'ch_other'`, "can not be changed"},
		{`UPDATE payments SET reason = 'double_charge'`, "can not be changed"},
		{`UPDATE payments SET captured_at = now()`, "can not be changed"},
		{`UPDATE payments SET recorded_at = now()`, "can not be changed"},
		{`UPDATE payments SET order_id = 'ord_gala_1_x'`, "can not be changed"},
		{`UPDATE payments SET paying_back = 1`, "what its refunds say"},
		{`UPDATE payments SET state = 'refund_due'`, "can not become"},
		{`UPDATE payments SET state = 'refunded'`, "payments_refunded_when_all_is_paid_back"},
		{`DELETE FROM payments`, "kept for good"},

		{ticket + `('gala', 'ord_gala_1_x', 0, 'floor', '', 'b', now())`, "tickets_number_check"},
		{ticket + `('gala', 'ord_ball_1_x', 1, 'floor', '', 'b', now())`, "tickets_of_their_event"},
		{ticket + `('gala', '` + string(sold.Order) + `', 1, 'floor', '', 'b', now())`, "tickets_pkey"},
	} {
		// Several statements go as one, and are undone as one.
		_, err := b.pool.Exec(t.Context(), wrong.statement, pgx.QueryExecModeSimpleProtocol)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !strings.Contains(refused.ConstraintName+" "+refused.Message, wrong.by) {
			t.Errorf("%s\ngives %v, want it refused by %s", wrong.statement, err, wrong.by)
		}
	}
}
