package persist

// Ways to break each promise, one at a time; those of Redis have a file of their own.

import (
	"strings"

	"onsale"
)

// broken is one broken promise: what breaks it, and what must be found.
type broken struct {
	name      string
	spoil     func(w *world)
	invariant onsale.Invariant
	subject   func(w *world) string
	detail    string   // that the finding says
	history   string   // that its history says; "" if there is none to know
	figures   [3]int64 // oversold, lost, double charges
}

func section(id string) func(*world) string { return func(*world) string { return "section " + id } }
func ofOrder(p func(*world) onsale.Purchase) func(*world) string {
	return func(w *world) string { return "order " + string(p(w).Order) }
}
func ofHold(p func(*world) onsale.Purchase) func(*world) string {
	return func(w *world) string { return "hold " + string(p(w).Hold) }
}
func seated(w *world) onsale.Purchase   { return w.seated }
func standing(w *world) onsale.Purchase { return w.standing }
func firstTicket(w *world) string       { return "ticket " + string(w.standing.Order.Ticket(1)) }
func refused(w *world) onsale.Purchase  { return w.refused }

var brokenInPostgres = []broken{
	{name: "a seat is claimed twice", invariant: onsale.InvariantClaims, figures: [3]int64{1, 0, 0},
		spoil: func(w *world) {
			w.forOrder(w.standing, `DROP INDEX claims_one_per_seat`, `UPDATE sections SET claimed = 3 WHERE section = 'stalls'`,
				`INSERT INTO claims VALUES ('gala', %s, 'stalls', 'A-1', 1)`,
				`UPDATE orders SET lines = '[{"section":"floor","quantity":2},{"section":"stalls","quantity":1,"seats":["A-1"]}]' WHERE id = %s`,
				`INSERT INTO tickets (event, order_id, number, section, seat, owner, issued_at) SELECT event, order_id, 3, 'stalls', 'A-1', owner, now() FROM tickets WHERE order_id = %s AND number = 1`)
			w.in.View, w.in.Feed = nil, nil // Redis would tell too
		},
		subject: func(*world) string { return "seat stalls/A-1" }, detail: "claimed by", history: "paid → ticketed"},
	{name: "a section is claimed beyond its capacity", invariant: onsale.InvariantClaims, figures: [3]int64{1, 0, 0},
		spoil: func(w *world) {
			w.corrupt(`UPDATE events SET definition = jsonb_set(definition, '{sections,0,capacity}', '2')`)
			w.in.View, w.in.Feed = nil, nil // Redis would tell too
		},
		subject: section("floor"), detail: "3 admissions are claimed, 2 exist"},
	{name: "a counter is not what is claimed", invariant: onsale.InvariantClaims,
		spoil:   func(w *world) { w.corrupt(`UPDATE sections SET claimed = 4 WHERE section = 'floor'`) },
		subject: section("floor"), detail: "counter says 4 claimed, its claims add up to 3"},
	{name: "a claim of an order that ended without it", invariant: onsale.InvariantClaims,
		spoil: func(w *world) {
			w.forOrder(w.refused, `INSERT INTO claims VALUES ('gala', %s, 'stalls', 'A-3', 1)`, `UPDATE sections SET claimed = 3 WHERE section = 'stalls'`)
		},
		subject: ofOrder(refused), detail: "it is declined and still claims 1 of stalls [A-3]", history: "claimed → declined (card_declined)"},
	{name: "an order without a claim", invariant: onsale.InvariantClaims,
		spoil: func(w *world) {
			w.forOrder(w.seated, `DELETE FROM claims WHERE order_id = %s AND seat = 'A-2'`, `UPDATE sections SET claimed = 1 WHERE section = 'stalls'`)
			w.in.View, w.in.Feed = nil, nil // Redis has sold a seat that is nobody's
		},
		subject: ofOrder(seated), detail: "claims 1 of floor, 1 of stalls [A-1]", history: "claimed → paid"},
	{name: "a claim of a seat that does not exist", invariant: onsale.InvariantClaims,
		spoil: func(w *world) {
			w.forOrder(w.seated, `UPDATE claims SET seat = 'Z-9' WHERE seat = 'A-2'`,
				`UPDATE orders SET lines = '[{"section":"floor","quantity":1},{"section":"stalls","quantity":2,"seats":["A-1","Z-9"]}]' WHERE id = %s`,
				`UPDATE tickets SET seat = 'Z-9' WHERE seat = 'A-2'`)
			w.in.View, w.in.Feed = nil, nil
		},
		subject: func(*world) string { return "seat stalls/Z-9" }, detail: "no such seat", history: "accepted → claimed"},

	{name: "a ticketed order that nobody paid", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.forOrder(w.standing, `DELETE FROM payments WHERE order_id = %s`) },
		subject: ofOrder(standing), detail: "no payment of it is on record", history: "paid → ticketed"},
	{name: "a payment without its order", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil: func(w *world) {
			w.forOrder(w.refused, `INSERT INTO payments VALUES ('gala', %s, 'ch_x', 'settled', '', 4000, 'EUR', now(), now())`)
		},
		subject: ofOrder(refused), detail: "it is paid by ch_x and is declined", history: "declined"},
	{name: "a payment of another amount", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.forOrder(w.standing, `UPDATE payments SET amount = 1 WHERE order_id = %s`) },
		subject: ofOrder(standing), detail: "it costs 5000 EUR and 1 EUR were captured", history: "claimed → paid"},
	{name: "a refund that is due", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil: func(w *world) {
			w.forOrder(w.refused, `INSERT INTO payments VALUES ('gala', %s, 'ch_late', 'refund_due', 'order_ended', 4000, 'EUR', now(), now())`)
		},
		subject: ofOrder(refused), detail: "ch_late bought nothing (order_ended) and are not refunded", history: "declined"},
	{name: "a refund that nobody made", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil:   func(w *world) { w.refund() },
		subject: ofOrder(standing), detail: "the provider has paid back 0 of 5000 EUR", history: "paid → ticketed"},
	{name: "a refund that is on no record", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil:   func(w *world) { w.refund(); w.in.Ledger = nil },
		subject: ofOrder(standing), detail: "no refund of it is on record", history: "paid → ticketed"},
	{name: "a refund in part", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil: func(w *world) {
			w.refund()
			w.entry(w.standing).Refunded = 4999
		},
		subject: ofOrder(standing), detail: "the provider has paid back 4999 of 5000 EUR"},
	{name: "two payments settle an order", invariant: onsale.InvariantKeys, figures: [3]int64{0, 0, 1},
		spoil: func(w *world) {
			w.forOrder(w.standing, `DROP INDEX payments_one_settles`,
				`INSERT INTO payments SELECT event, order_id, 'ch_x', state, reason, amount, currency, captured_at, recorded_at FROM payments WHERE order_id = %s`)
		},
		subject: ofOrder(standing), detail: "2 payments settle it", history: "paid → ticketed"},
	{name: "a ticket too few", invariant: onsale.InvariantKeys,
		spoil:   func(w *world) { w.forOrder(w.standing, `DELETE FROM tickets WHERE order_id = %s AND number = 2`) },
		subject: ofOrder(standing), detail: "2 of floor, and its tickets are of 1 of floor", history: "paid → ticketed"},
	{name: "a ticket of another seat", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.seated, `UPDATE tickets SET seat = 'C-1' WHERE order_id = %s AND seat = 'A-2'`)
		},
		subject: ofOrder(seated), detail: "its tickets are of 1 of floor, 2 of stalls [A-1 C-1]", history: "ticketed"},
	{name: "a ticket with two codes", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.standing, `UPDATE tickets SET serial = 2 WHERE order_id = %s AND number = 1`)
		},
		subject: firstTicket, detail: "with serial 2; by its 0 transfers", history: "paid → ticketed"},
	{name: "a ticket that nobody gave away", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.standing, `UPDATE tickets SET owner = 'buy_x' WHERE order_id = %s AND number = 1`)
		},
		subject: firstTicket, detail: "it is buy_x's with serial 1"},
	{name: "a ticket that was given away and kept", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.standing, `INSERT INTO transfers VALUES (sha256('x'), 'gala', %s, 1, 1, 'accepted', 'buy_x', 'buy_y', now(), now() + interval '1 day', now())`)
		},
		subject: firstTicket, detail: "by its 1 transfers it is buy_y's with serial 2"},
	{name: "someone admitted without a check-in", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.standing, `UPDATE tickets SET admitted_at = now() WHERE order_id = %s AND number = 1`)
		},
		subject: firstTicket, detail: "no gate has checked it in"},
	{name: "a check-in that uses nothing up", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.standing, `INSERT INTO checkins VALUES ('gala', %s, 1, 1, 'A', '', now())`)
		},
		subject: firstTicket, detail: "gate A has checked it in, and it can be used again"},
	{name: "a check-in with another code", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.standing, `UPDATE tickets SET admitted_at = now() WHERE order_id = %s AND number = 1`,
				`INSERT INTO checkins VALUES ('gala', %s, 1, 7, 'A', '', now())`)
		},
		subject: firstTicket, detail: "admitted under serial 1"},
	{name: "a key that bought in two epochs", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.in.AtRest = false // the second is still being paid
			w.again = onsale.HoldID(strings.Replace(string(w.standing.Hold), "_1_", "_2_", 1)).Order()
			again := "'" + string(w.again) + "'"
			w.forOrder(w.standing, `SET LOCAL session_replication_role = origin`,
				`INSERT INTO orders SELECT `+again+`, event, buyer, 'claimed', '', lines, amount, currency, '', now(), now() FROM orders WHERE id = %s`,
				`INSERT INTO claims VALUES ('gala', `+again+`, 'floor', '', 2)`, `UPDATE sections SET claimed = claimed + 2 WHERE section = 'floor'`)
		},
		subject: func(w *world) string { return "order " + string(w.again) }, detail: "its idempotency key has bought before", history: "paid → ticketed"},
	{name: "tickets of an order that was declined", invariant: onsale.InvariantKeys,
		spoil: func(w *world) {
			w.forOrder(w.refused, `INSERT INTO tickets (event, order_id, number, section, seat, owner, issued_at) VALUES ('gala', %s, 1, 'stalls', 'A-3', 'buy_x', now())`)
		},
		subject: ofOrder(refused), detail: "it is declined and has 1 tickets", history: "declined"},
	{name: "an order that never ended", invariant: onsale.InvariantOrders, figures: [3]int64{0, 1, 0},
		spoil: func(w *world) {
			w.refused = w.purchase(floor(1))
			w.forOrder(w.refused, `SET LOCAL session_replication_role = origin`, // with its history
				`INSERT INTO orders VALUES (%s, 'gala', 'buy_x', 'claimed', '', '[{"section":"floor","quantity":1}]', 2500, 'EUR', '', now(), now())`,
				`INSERT INTO claims VALUES ('gala', %s, 'floor', '', 1)`, `UPDATE sections SET claimed = claimed + 1 WHERE section = 'floor'`)
		},
		subject: ofOrder(refused), detail: "still claimed", history: "accepted → claimed"},
}

var brokenElsewhere = []broken{
	{name: "a purchase that was given up", invariant: onsale.InvariantOrders, figures: [3]int64{0, 1, 0},
		spoil: func(w *world) {
			w.refused = w.purchase(floor(1))
			w.bury(w.refused, onsale.TopicPurchases, "the purchase has no lines")
			w.bury(w.refused, onsale.TopicPurchases, "the same again")
		},
		subject: ofOrder(refused), detail: "a dead letter of onsale.purchases, and the book has no such order", history: "the purchase has no lines"},
	{name: "a charge that was given up", invariant: onsale.InvariantOrders, figures: [3]int64{0, 1, 0},
		spoil: func(w *world) {
			w.refused = w.purchase(floor(1))
			w.forOrder(w.refused, `SET LOCAL session_replication_role = origin`, // with its history
				`INSERT INTO orders VALUES (%s, 'gala', 'buy_x', 'claimed', '', '[{"section":"floor","quantity":1}]', 2500, 'EUR', '', now(), now())`,
				`INSERT INTO claims VALUES ('gala', %s, 'floor', '', 1)`, `UPDATE sections SET claimed = claimed + 1 WHERE section = 'floor'`)
			w.bury(w.refused, onsale.TopicCharges, "no payment token")
		},
		subject: ofOrder(refused), detail: "a dead letter of onsale.charges, and still claimed", history: "no payment token"},
	{name: "a purchase that can't even be read", invariant: onsale.InvariantOrders, figures: [3]int64{0, 2, 0},
		spoil: func(w *world) {
			w.bury(onsale.Purchase{}, onsale.TopicPurchases, "not JSON")
			w.bury(onsale.Purchase{}, onsale.TopicPurchases, "not JSON either")
		},
		subject: func(*world) string { return "topic " + onsale.TopicPurchases }, detail: "2 dead letters", history: "not JSON either"},
	{name: "the provider took the money twice", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil:   func(w *world) { w.entry(w.seated).Captures = 2 },
		subject: ofOrder(seated), detail: "the provider took its money 2 times", history: "paid → ticketed"},
	{name: "the provider captured a declined order", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil:   func(w *world) { e := w.entry(w.refused); e.Outcome, e.Captures = onsale.ChargeCaptured, 1 },
		subject: ofOrder(refused), detail: "and the order is declined", history: "claimed → declined"},
	{name: "the provider captured for no order", invariant: onsale.InvariantCharges, figures: [3]int64{0, 0, 1},
		spoil: func(w *world) {
			w.in.Ledger = append(w.in.Ledger, onsale.LedgerEntry{Order: "ord_gala_1_00000000000000000000000000", Reference: "ch_x", Outcome: onsale.ChargeCaptured, Amount: 1, Captures: 1})
		},
		subject: func(*world) string { return "order ord_gala_1_00000000000000000000000000" }, detail: "the book has no such order"},
	{name: "the provider captured another amount", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.entry(w.seated).Amount++ },
		subject: ofOrder(seated), detail: "and the provider captured"},
	{name: "the provider has another reference", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.entry(w.seated).Reference = "ch_x" },
		subject: ofOrder(seated), detail: "the book has another reference"},
	{name: "the provider declined what is ticketed", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { e := w.entry(w.seated); e.Outcome, e.Captures = onsale.ChargeDeclined, 0 },
		subject: ofOrder(seated), detail: "the provider says that its charge is declined"},
	{name: "the provider knows of no charge", invariant: onsale.InvariantCharges,
		spoil:   func(w *world) { w.entry(w.seated).Order = "ord_ball_1_00000000000000000000000000" },
		subject: ofOrder(seated), detail: "the provider knows of no charge"},

	{name: "a feed that missed a seat", invariant: onsale.InvariantFeed,
		spoil: func(w *world) {
			seats := []byte(w.in.Feed.Sections[1].Seats)
			seats[12] = onsale.SeatSold
			w.in.Feed.Sections[1].Seats = string(seats)
		},
		subject: func(*world) string { return "feed of gala, section stalls" }, detail: "it says that seat B-2 is 's', Redis 'a'"},
	{name: "a feed that missed a count", invariant: onsale.InvariantFeed,
		spoil:   func(w *world) { w.in.Feed.Sections[0].Held++ },
		subject: func(*world) string { return "feed of gala, section floor" }, detail: "2 held"},
	{name: "a feed that was left behind", invariant: onsale.InvariantFeed,
		spoil:   func(w *world) { w.in.Feed.Seq-- },
		subject: func(*world) string { return "feed of gala" }, detail: "it stands at gala epoch 1 seq 8, Redis at gala epoch 1 seq 9"},
	{name: "a feed that missed the pause", invariant: onsale.InvariantFeed,
		spoil:   func(w *world) { w.in.Feed.Sale = onsale.SalePaused },
		subject: func(*world) string { return "feed of gala" }, detail: "the sale is paused, Redis open"},
}
