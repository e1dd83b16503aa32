package persist

import (
	"fmt"
	"slices"
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
	w.in.Unsettled, w.in.AtRest = 4, false
	w.fold()
	if r := w.report(); !r.OK() || r.LostOrders != 0 {
		t.Error(r.LostOrders, r.Err())
	}
	w.in.Overdue = true
	r := w.report()
	if r.LostOrders != 6 {
		t.Errorf("%d lost once all has had its time, want 2 open orders and 4 unsettled purchases", r.LostOrders)
	}
}

func TestAuditCountsWhatAStageGaveUpAsLostEvenDuringASale(t *testing.T) {
	w := newWorld(t)
	w.bury(w.seated, onsale.TopicResults, "double_charge") // ticketed all the same
	if r := w.report(); !r.OK() || r.LostOrders != 0 {
		t.Error(r.LostOrders, r.Err())
	}
	w.bury(w.purchase(floor(1)), onsale.TopicPurchases, "no lines")
	w.in.AtRest = false
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

func TestAuditSaysWhatItDidNotLookAt(t *testing.T) {
	w := newWorld(t)
	if r := w.report(); len(r.Unchecked) > 0 {
		t.Errorf("with all there is to look at, it did not check %v", r.Unchecked)
	}
	for what, c := range map[string]struct {
		lack func(in *AuditInput)
		want []onsale.Invariant
		says string
	}{
		"Redis":             {func(in *AuditInput) { in.View, in.Feed, in.NoView = nil, nil, "it is gone" }, []onsale.Invariant{1, 6, 7}, "it is gone"},
		"a feed":            {func(in *AuditInput) { in.Feed, in.NoFeed = nil, "nobody looks" }, []onsale.Invariant{7}, "nobody looks"},
		"the ledger":        {func(in *AuditInput) { in.Ledger = nil }, []onsale.Invariant{3}, "ledger was not read"},
		"an empty ledger":   {func(in *AuditInput) { in.Ledger, in.AtRest, in.Overdue = []onsale.LedgerEntry{}, false, true }, nil, ""},
		"rest":              {func(in *AuditInput) { in.AtRest, in.Unsettled = false, 3 }, []onsale.Invariant{4, 6}, "3 purchases in Kafka"},
		"rest, and a cause": {func(in *AuditInput) { in.AtRest = false }, []onsale.Invariant{4, 6}, "not at rest"},
		"what changed": {func(in *AuditInput) {
			in.View.Holds = slices.DeleteFunc(in.View.Holds, func(h onsale.HeldRecord) bool { return h.State == onsale.HoldHeld })
			in.View.InFlux = 1
		}, []onsale.Invariant{1, 6}, "1 holds changed while they were read"},
		"everything": {func(in *AuditInput) { *in = AuditInput{Event: in.Event} }, []onsale.Invariant{1, 6, 7, 3, 4}, ""},
	} {
		w.readStores()
		c.lack(&w.in)
		r := w.report()
		var got []onsale.Invariant
		said := false
		for _, u := range r.Unchecked {
			got = append(got, u.Invariant)
			said = said || strings.Contains(u.Reason, c.says)
		}
		if !slices.Equal(got, c.want) || !r.OK() || c.says != "" && !said {
			t.Errorf("without %s: unchecked %v, want %v for %q: %v", what, r.Unchecked, c.want, c.says, r.Err())
		}
	}
}

func TestAuditTakesAYoungPinWithoutAnOrderForNoMoreThanThat(t *testing.T) {
	w := newWorld(t)
	w.hold(w.purchase(floor(1)), onsale.HoldPinned)
	w.fold()
	w.in.AtRest, w.in.Overdue = false, true
	r := w.report()
	if !r.OK() || len(r.Unchecked) != 1 || r.Unchecked[0].Invariant != onsale.InvariantOrders {
		t.Errorf("%v, unchecked %v", r.Err(), r.Unchecked)
	}
}

func TestAuditDuringASaleLetsWhatIsOwedHeal(t *testing.T) {
	w := newWorld(t)
	w.owe(w.seated)
	w.in.AtRest = false
	if r := w.report(); !r.OK() {
		t.Error(r.Err())
	}
	w.readStores()
	w.owe(w.standing) // a general section's
	w.in.AtRest = false
	if r := w.report(); !r.OK() {
		t.Error(r.Err())
	}
	w.in.Overdue = true
	if r := w.report(); len(r.Violations) != 1 {
		t.Errorf("what is owed for good was found %d times: %v", len(r.Violations), r.Err())
	}
}

func TestAuditTakesARefundOnEitherWord(t *testing.T) {
	newWorld(t).broken(func(w *world) { w.refund() }, func(w *world) {
		w.entry(w.standing).Refunded = w.standing.Amount
		if r := w.report(); !r.OK() || r.DoubleCharges != 0 {
			t.Error("by the provider's word: ", r.Err())
		}
		w.in.Ledger = nil
		w.writeRefund("made", w.standing.Amount, "{1,2}")
		w.forOrder(w.standing, `UPDATE payments SET state = 'refunded' WHERE order_id = %s`)
		if r := w.report(); !r.OK() || r.DoubleCharges != 0 {
			t.Error("by the book's: ", r.Err())
		}
	})
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
	all = append(all, brokenRefunds...)
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
