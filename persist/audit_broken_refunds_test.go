package persist

import (
	"fmt"
	"testing"

	"onsale"
)

// Ways to break what a refund promises, one at a time, on the order of two floor places.

// writeRefund writes a refund of the order of two floor places, by the word of its rows alone.
func (w *world) writeRefund(state string, amount int64, tickets string) {
	w.t.Helper()
	w.forOrder(w.standing, fmt.Sprintf(`INSERT INTO refunds (id, event, order_id, payment, asked_by, key, asked, tickets, amount, currency, reason, state, next_at, asked_at, ended_at)
		SELECT 'ref_1', event, order_id, reference, 'operator', 'k', '{}', '%s', %d, currency, '', '%s', now(), now(), CASE '%s' WHEN 'due' THEN NULL ELSE now() END
		FROM payments WHERE order_id = %%s`, tickets, amount, state, state),
		fmt.Sprintf(`UPDATE payments SET paying_back = %d WHERE order_id = %%s`, amount))
}

// refundOne makes one of the two places refunded, in every store.
func (w *world) refundOne() {
	w.t.Helper()
	w.writeRefund("made", 2500, "{2}")
	w.forOrder(w.standing, `UPDATE tickets SET state = 'void' WHERE order_id = %s AND number = 2`, `UPDATE claims SET quantity = 1 WHERE order_id = %s`,
		`UPDATE sections SET claimed = claimed - 1 WHERE section = 'floor'`)
	w.entry(w.standing).Refunded = 2500
	h := w.record(w.standing.Hold)
	h.Lines, h.Amount = []onsale.Line{{Section: "floor", Quantity: 1}}, 2500
	w.in.View.Stock.Counts[0].Sold--
	w.in.View.Stock.Counts[0].Available++
	w.in.View.Buyers[w.standing.Buyer]--
	w.fold()
}

func ticketOf(p func(*world) onsale.Purchase, n int) func(*world) string {
	return func(w *world) string { return "ticket " + string(p(w).Order.Ticket(n)) }
}

var brokenRefunds = []broken{
	{name: "a ticket that is void for nothing", invariant: onsale.InvariantCharges,
		spoil: func(w *world) {
			w.forOrder(w.standing, `UPDATE tickets SET state = 'void' WHERE order_id = %s AND number = 1`)
		},
		subject: ticketOf(standing, 1), detail: "it is void, and by the refunds of its order it would be valid", history: "paid → ticketed"},
	{name: "a ticket that admits while its refund is due", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.writeRefund("due", 2500, "{1}") }, // nobody has blocked it
		subject: ticketOf(standing, 1), detail: "it is valid, and by the refunds of its order it would be blocked"},
	{name: "a ticket that admits after it was paid back", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.writeRefund("made", 2500, "{2}"); w.entry(w.standing).Refunded = 2500 },
		subject: ticketOf(standing, 2), detail: "it is valid, and by the refunds of its order it would be void"},
	{name: "a refund that the provider knows nothing of", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.refundOne(); w.entry(w.standing).Refunded = 0 },
		subject: ofOrder(standing), detail: "2500 EUR of it were paid back, and the provider says 0"},
	{name: "a refund that the book knows nothing of", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.refundOne(); w.entry(w.standing).Refunded = 3000 },
		subject: ofOrder(standing), detail: "the provider has paid back 3000 EUR, and the book knows of 2500"},
	{name: "refunds that don't add up", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.forOrder(w.standing, `UPDATE payments SET paying_back = 7 WHERE order_id = %s`) },
		subject: ofOrder(standing), detail: "says that 7 are paid back or about to be, its refunds say 0 made and 0 due"},
	{name: "a claim of what was paid back", invariant: onsale.InvariantClaims,
		spoil: func(w *world) {
			w.refundOne()
			w.forOrder(w.standing, `UPDATE claims SET quantity = 2 WHERE order_id = %s`, `UPDATE sections SET claimed = claimed + 1 WHERE section = 'floor'`)
			w.in.View, w.in.Feed = nil, nil // Redis would tell too
		},
		subject: ofOrder(standing), detail: "it is ticketed with 1 of floor and claims 2 of floor"},
}

func TestAuditOfAnOrderThatWasRefundedInPartFindsNothing(t *testing.T) {
	newWorld(t).broken(func(w *world) { w.refundOne() }, func(w *world) {
		if r := w.report(); !r.OK() || len(r.Unchecked) > 0 {
			t.Error(r.Err(), r.Unchecked)
		}
	})
}
