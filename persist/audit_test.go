package persist

import (
	"fmt"
	"strings"
	"testing"

	"onsale"
)

func TestAuditOfAnEventAtRestFindsNothing(t *testing.T) {
	w := newWorld(t)
	r := w.report()
	if !r.OK() {
		t.Fatal(r.Err())
	}
	if r.Oversold+r.LostOrders+r.DoubleCharges != 0 || r.Orders[onsale.OrderTicketed] != 2 || r.Orders[onsale.OrderDeclined] != 1 || r.Orders[onsale.OrderRejected] != 1 {
		t.Errorf("%+v", r)
	}
	floor := r.Sections[0]
	if floor.ID != "floor" || floor.Capacity != 10 || floor.Sold != 3 || floor.Held != 1 || floor.Available != 6 || floor.Claimed != 3 {
		t.Errorf("%+v", floor)
	}
}

func TestAuditDuringASaleTakesWhatIsUnderWayForThat(t *testing.T) {
	w := newWorld(t)
	open, paid := w.purchase(stalls("B-1")), w.purchase(floor(1))
	w.claim(open, paid)
	w.hold(open, onsale.HoldPinned)
	w.hold(paid, onsale.HoldPinned)
	w.hold(w.purchase(stalls("B-9")), onsale.HoldPinned) // not claimed yet
	w.in.Ledger = append(w.in.Ledger, onsale.LedgerEntry{Order: paid.Order, Reference: "ch", Outcome: onsale.ChargeCaptured, Amount: paid.Amount, Currency: "EUR", Captures: 1})
	late := w.purchase(floor(1)) // ticketed since the others were read
	w.claim(late)
	w.finalise(captured(late))
	w.in.Unsettled, w.in.Quiet = 4, false
	w.fold()
	if r := w.report(); !r.OK() || r.LostOrders != 0 {
		t.Error(r.LostOrders, r.Err())
	}
	w.in.Quiet = true
	r := w.report()
	if r.LostOrders != 6 {
		t.Errorf("%d lost once nothing is under way, want 2 open orders and 4 unsettled purchases", r.LostOrders)
	}
}

func TestAuditCountsWhatAStageGaveUpAsLostEvenDuringASale(t *testing.T) {
	w := newWorld(t)
	w.bury(w.seated, onsale.TopicResults, "double_charge") // ticketed all the same
	if r := w.report(); !r.OK() || r.LostOrders != 0 {
		t.Error(r.LostOrders, r.Err())
	}
	w.bury(w.purchase(floor(1)), onsale.TopicPurchases, "no lines")
	w.in.Quiet = false
	if r := w.report(); r.LostOrders != 1 || len(r.Violations) != 1 {
		t.Errorf("%d lost, want the dead-lettered purchase: %v", r.LostOrders, r.Err())
	}
}

func TestAuditWithoutTheOtherStoresChecksPostgresAlone(t *testing.T) {
	w := newWorld(t)
	w.in.View, w.in.Ledger, w.in.Feed = nil, nil, nil
	if r := w.report(); !r.OK() {
		t.Error(r.Err())
	}
	if _, err := w.Audit(t.Context(), AuditInput{Event: "nowhere"}); onsale.CodeOf(err) != onsale.CodeUnknownEvent {
		t.Errorf("got %v, want unknown_event", err)
	}
	w.in.View = &onsale.HoldsView{Stock: onsale.Stock{Event: "ball"}}
	if _, err := w.Audit(t.Context(), w.in); err == nil {
		t.Error("the view of another event was taken")
	}
}

func TestAuditOfAHouseThatIsAllWrongCanStillBeRead(t *testing.T) {
	newWorld(t).broken(func(w *world) {
		w.corrupt(`INSERT INTO claims SELECT 'gala', 'ord_gala_1_' || n, 'floor', '', 1 FROM generate_series(1, 100) n`)
	}, func(w *world) {
		r := w.report()
		if n := len(r.Violations); n > maxNamed+5 {
			t.Errorf("%d violations are listed", n)
		}
		if r.Oversold != 93 {
			t.Errorf("oversold %d, want 93: 103 claims of 10 places", r.Oversold)
		}
		if text := r.Err().Error(); !strings.Contains(text, "77 more like these") {
			t.Error(text)
		}
	})
}

// forOrder runs statements with the id of a purchase's order in place of %s.
func (w *world) forOrder(p onsale.Purchase, statements ...string) {
	w.t.Helper()
	for i := range statements {
		statements[i] = strings.ReplaceAll(statements[i], "%s", "'"+string(p.Order)+"'")
	}
	w.corrupt(statements...)
}

func TestEachBrokenPromiseIsFoundAloneAndItsCulpritNamed(t *testing.T) {
	var all []broken
	all = append(all, brokenInPostgres...)
	all = append(all, brokenInRedis...)
	all = append(all, brokenElsewhere...)
	w := newWorld(t)
	for _, c := range all {
		t.Run(fmt.Sprintf("%d/%s", c.invariant, c.name), func(t *testing.T) {
			w.broken(c.spoil, func(w *world) { c.check(t, w) })
		})
	}
}

// check holds the audit to find what is broken, and nothing else.
func (c *broken) check(t *testing.T, w *world) {
	t.Helper()
	r, want := w.report(), c.subject(w)
	if len(r.Violations) != 1 {
		t.Fatalf("%d violations, want 1: %v", len(r.Violations), r.Err())
	}
	v := r.Violations[0]
	if v.Invariant != c.invariant || v.Subject != want || !strings.Contains(v.Detail, c.detail) {
		t.Errorf("got  %v\nwant invariant %d broken by %s: …%s…", v, c.invariant, want, c.detail)
	}
	if history := strings.Join(v.History, "\n"); !strings.Contains(history, c.history) {
		t.Errorf("its history is %q, without %q", history, c.history)
	}
	if got := [3]int64{r.Oversold, r.LostOrders, r.DoubleCharges}; got != c.figures {
		t.Errorf("oversold, lost, double charges: %v, want %v", got, c.figures)
	}
}
