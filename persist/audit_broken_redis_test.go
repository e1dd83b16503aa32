package persist

// Ways to break what Redis promises, one at a time.

import (
	"time"

	"onsale"
)

var brokenInRedis = []broken{
	{name: "the counts do not add up", invariant: onsale.InvariantCounts,
		spoil:   func(w *world) { w.in.View.Stock.Counts[0].Available--; w.fold() },
		subject: section("floor"), detail: "add up to 9 of 10"},
	{name: "a count is negative", invariant: onsale.InvariantCounts,
		spoil: func(w *world) {
			c := &w.in.View.Stock.Counts[0]
			c.Available, c.Held = c.Available+c.Held+1, -1
			w.fold()
		},
		subject: section("floor"), detail: "a count is negative"},
	{name: "a seat is held by nobody", invariant: onsale.InvariantCounts,
		spoil:   func(w *world) { w.letter("stalls", "C-9", onsale.SeatHeld); w.fold() },
		subject: section("stalls"), detail: "the seats 25 available, 3 held"},
	{name: "a seat has an unknown letter", invariant: onsale.InvariantCounts,
		spoil:   func(w *world) { w.letter("stalls", "C-9", 'x'); w.fold() },
		subject: section("stalls"), detail: "row C has a seat 'x'"},
	{name: "a hold is not counted", invariant: onsale.InvariantCounts,
		spoil: func(w *world) {
			c := &w.in.View.Stock.Counts[0]
			c.Available, c.Held = c.Available+1, c.Held-1
			w.fold()
		},
		subject: section("floor"), detail: "the counts say 0 held, 0 pinned, 3 sold; the holds 1, 0, 3"},

	{name: "a pin that has no order", invariant: onsale.InvariantOrders,
		spoil: func(w *world) {
			p := w.purchase(floor(1))
			w.hold(p, onsale.HoldPinned)
			w.record(p.Hold).PinnedAt = w.in.View.Stock.At.Add(-orphanAllowance - time.Second)
			w.held = w.record(p.Hold)
			w.fold()
		},
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "no order of it was ever recorded", history: "is pinned since"},
	{name: "purchases that were never settled", invariant: onsale.InvariantOrders, figures: [3]int64{0, 2, 0},
		spoil:   func(w *world) { w.in.Unsettled = 2 },
		subject: func(*world) string { return "topic " + onsale.TopicPurchases }, detail: "2 accepted purchases"},

	{name: "a hold that is not its order's", invariant: onsale.InvariantKeys,
		spoil:   func(w *world) { w.record(w.refused.Hold).Buyer = w.seated.Buyer },
		subject: ofHold(refused), detail: "the order is of", history: "is released"},
	{name: "a hold that Redis has twice", invariant: onsale.InvariantKeys,
		spoil:   func(w *world) { w.in.View.Holds = append(w.in.View.Holds, *w.record(w.refused.Hold)) },
		subject: ofHold(refused), detail: "Redis has it twice", history: "declined"},

	{name: "a hold that outlives its deadline", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.held.ExpiresAt = w.in.View.Stock.At.Add(-reapAllowance - time.Second)
			w.held.Due = w.held.ExpiresAt
		},
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "it is held 11s past its deadline", history: "is held until"},
	{name: "a hold that would never expire", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.held.Due = time.Time{} },
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "not in the expiry index"},
	{name: "a hold that would expire too late", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.held.Due = w.held.Due.Add(time.Second) },
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "and the expiry index has it at"},
	{name: "a hold that would expire too early", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.held.Due = w.held.Due.Add(-time.Second) },
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "and the expiry index has it at"},
	{name: "a hold that lives too long", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.held.ExpiresAt = w.in.View.Stock.At.Add(w.event.HoldTime() + 2*clockAllowance)
			w.held.Due = w.held.ExpiresAt
		},
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "its deadline is 2m2s ahead, and a hold lives 2m0s"},
	{name: "a pin that recovery can't find", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.in.AtRest = false // its order is being paid
			p := w.purchase(floor(1))
			w.hold(p, onsale.HoldPinned)
			w.held = w.record(p.Hold)
			w.held.PinnedAt = time.Time{}
			w.fold()
		},
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: "it is pinned and not in the pin index"},
	{name: "a sold hold that would be forgotten", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.record(w.seated.Hold).Due = w.in.View.Stock.At.Add(time.Minute) },
		subject: ofHold(seated), detail: "it is sold, and in the expiry index", history: "paid → ticketed"},
	{name: "a hold that can't be read", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			*w.held = onsale.HeldRecord{Hold: onsale.Hold{ID: w.held.ID}, Unreadable: "hold record \"x\""}
		},
		subject: func(w *world) string { return "hold " + string(w.held.ID) }, detail: `its record can't be read: hold record "x"`, history: `hold record "x"`},
	{name: "a sold hold that can't be read", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			h := w.record(w.seated.Hold)
			*h = onsale.HeldRecord{Hold: onsale.Hold{ID: h.ID}, Unreadable: "hold record \"x\""}
		},
		subject: ofHold(seated), detail: `its record can't be read`, history: "paid → ticketed"},
	{name: "a sale that is owed for good", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.owe(w.seated) },
		subject: ofHold(seated), detail: "another hold still has what it was of", history: "is sold, and owed"},
	{name: "a sale that was paused for Postgres alone", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.corrupt(`UPDATE events SET sale = 'paused'`) },
		subject: func(*world) string { return "event gala" }, detail: "its sale is open in Redis, and paused in Postgres"},
	{name: "a seat in two live holds", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.held.Lines[0].Seats[1] = "A-2"
			w.letter("stalls", "C-6", onsale.SeatAvailable)
			w.letter("stalls", "C-7", onsale.SeatHeld)
			w.fold()
		},
		subject: func(*world) string { return "seat stalls/A-2" }, detail: "two live holds have it", history: "paid → ticketed"},
	{name: "a hold without its seat", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.letter("stalls", "C-6", onsale.SeatAvailable)
			w.letter("stalls", "C-7", onsale.SeatHeld)
			w.fold()
		},
		subject: func(*world) string { return "seat stalls/C-6" }, detail: "it is 'a', and hold"},
	{name: "a buyer whose count is too low", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.in.View.Buyers[w.seated.Buyer]-- },
		subject: func(w *world) string { return "buyer " + string(w.seated.Buyer) }, detail: "2 admissions are counted against the limit, the holds have 3"},
	{name: "a buyer whose count is too high", invariant: onsale.InvariantHolds,
		spoil:   func(w *world) { w.in.View.Buyers[w.refused.Buyer]++ },
		subject: func(w *world) string { return "buyer " + string(w.refused.Buyer) }, detail: "1 admissions are counted against the limit, the holds have 0"},
	{name: "a buyer over the limit", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			p := w.purchase(floor(5))
			p.Buyer = w.held.Buyer
			w.hold(p, onsale.HoldHeld)
			w.fold()
		},
		subject: func(w *world) string { return "buyer " + string(w.held.Buyer) }, detail: "they have 8 admissions, the limit is 6"},
	{name: "a sale that Redis forgot", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.move(w.seated, onsale.HoldReleased)
			w.letter("stalls", "A-1", onsale.SeatSold) // one of its seats, to have one culprit
			w.letter("stalls", "A-2", onsale.SeatAvailable)
			w.in.View.Stock.Counts[1].Sold++
			w.in.View.Stock.Counts[1].Available--
			w.in.View.Stock.Counts[0].Sold++
			w.in.View.Stock.Counts[0].Available--
			w.fold()
		},
		subject: func(*world) string { return "seat stalls/A-2" }, detail: "it is 'a' in Redis, and ticketed to", history: "paid → ticketed"},
	{name: "a sale that Postgres does not have", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.letter("stalls", "B-7", onsale.SeatSold)
			w.in.View.Stock.Counts[1].Sold++
			w.in.View.Stock.Counts[1].Available--
			w.fold()
		},
		subject: func(*world) string { return "seat stalls/B-7" }, detail: "Postgres has no ticketed order for it"},
	{name: "more places sold than ticketed", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.in.View.Stock.Counts[0].Sold++
			w.in.View.Stock.Counts[0].Available--
			w.fold()
		},
		subject: section("floor"), detail: "Redis has sold 4, Postgres has ticketed 3"},
	{name: "a pin that outlives its order", invariant: onsale.InvariantHolds,
		spoil: func(w *world) {
			w.move(w.seated, onsale.HoldPinned)
			w.fold()
		},
		subject: ofHold(seated), detail: "still pinned, and its order is ticketed", history: "paid → ticketed"},
}
