package holds

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"onsale"
)

// news settles a hold as the news of its order say: it has the lines; none: it was
// refunded whole.
func (h *house) news(hold onsale.Hold, lines ...onsale.Line) {
	h.t.Helper()
	s := Settlement{Hold: hold.ID, Buyer: hold.Buyer, Sold: true, Lines: lines}
	if len(lines) == 0 {
		s.Sold, s.Refunded, s.Lines = false, true, hold.Lines
	}
	if err := h.desk.Settle(h.t.Context(), h.layout, []Settlement{s}); err != nil {
		h.t.Fatal(err)
	}
}

func floorLine(n int) onsale.Line { return onsale.Line{Section: "floor", Quantity: n} }
func standLine(seats ...string) onsale.Line {
	return onsale.Line{Section: "stand", Quantity: len(seats), Seats: seats}
}

func TestWhatIsRefundedInPartIsAvailableToTheNextRequestAndItsBuyer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1", "A-2"), floor(2))
	h.news(hold, hold.Lines...)
	for range 2 {
		h.news(hold, standLine("A-2"), floorLine(1))
		h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
		h.wantCounts("floor", onsale.Counts{Available: 9, Sold: 1})
	}
	h.mustHold("buy_a", stand("A-1"), floor(1)) // within the limit of 4 again
	_, err := h.hold("buy_b", "", stand("A-2"))
	wantCode(t, err, onsale.CodeSeatTaken)
}

// TestHowNewsOfAnOrderComeDoesntMatter plays each order of arrival, with a repeat of each
// piece: the house ends the same.
func TestHowNewsOfAnOrderComeDoesntMatter(t *testing.T) {
	t.Parallel()
	all := []onsale.Line{standLine("A-1", "A-2"), floorLine(2)}
	pieces := [][]onsale.Line{all, {standLine("A-2"), floorLine(2)}, {standLine("A-2"), floorLine(1)}, nil}
	for _, order := range []string{"0123", "0132", "3210", "2301", "1032", "00112233", "01230123", "3012", "2103", "012", "210", "120", "0120", "2010"} {
		h := newHouse(t, nil)
		hold := h.mustHold("buy_a", stand("A-1", "A-2"), floor(2))
		for _, n := range order {
			h.news(hold, pieces[n-'0']...)
		}
		stands, floors := onsale.Counts{Available: 10}, onsale.Counts{Available: 10}
		if !strings.Contains(order, "3") {
			stands, floors = onsale.Counts{Available: 9, Sold: 1}, onsale.Counts{Available: 9, Sold: 1}
		}
		h.wantCounts("stand", stands)
		h.wantCounts("floor", floors)
		if pins := h.pins(); len(pins) > 0 {
			t.Errorf("%s: pins %+v", order, pins)
		}
	}
}

func TestRefundedHoldIsRememberedWhenStockIsLaidAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	whole := h.mustKeyed("buy_a", "key", stand("A-1"))
	part := h.mustHold("buy_b", stand("A-2", "A-3"))
	h.rebuild(testEpoch+1, Kept{Hold: whole.ID, Buyer: "buy_a", Refunded: true, Lines: whole.Lines},
		Kept{Hold: part.ID, Buyer: "buy_b", Sold: true, Lines: []onsale.Line{standLine("A-3")}})
	h.news(whole, whole.Lines...) // old news
	h.news(part, part.Lines...)
	h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	again, err := h.hold("buy_a", "key", stand("A-1"))
	if err != nil || again.ID != whole.ID || again.State != onsale.HoldReleased {
		t.Errorf("its key is answered %+v, %v", again, err)
	}
	view, err := h.desk.Inspect(t.Context(), h.layout)
	if err != nil || view.Buyers["buy_a"] != 0 || view.Buyers["buy_b"] != 1 {
		t.Errorf("%v, %v", view.Buyers, err)
	}
}

func TestFeedTellsWhatARefundGaveBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1", "A-2"), floor(2))
	h.news(hold, hold.Lines...)
	before, err := h.desk.Stock(t.Context(), h.layout)
	if err != nil {
		t.Fatal(err)
	}
	h.news(hold, standLine("A-2"), floorLine(1))
	h.news(hold, standLine("A-2"), floorLine(1)) // changes nothing, so it tells nothing
	h.news(hold)
	after, err := h.desk.Stock(t.Context(), h.layout)
	if err != nil || after.Seq != before.Seq+2 {
		t.Errorf("%d deltas, want 2: %v", after.Seq-before.Seq, err)
	}
}

func TestConfirmingWithoutLinesGivesNothingBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1"))
	for range 2 {
		if err := h.desk.Settle(t.Context(), h.layout, []Settlement{{Hold: hold.ID, Buyer: "buy_a", Sold: true}}); err != nil {
			t.Fatal(err)
		}
		h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	}
}

func TestOwedOrderThatIsRefundedIsOwedNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	ticketed := h.mustHold("buy_a", stand("A-2"))
	h.settleAs(ticketed, false)
	other := h.mustHold("buy_b", stand("A-2"))
	h.settleAs(ticketed, true)
	h.news(ticketed)
	if pins := h.pins(); len(pins) != 0 {
		t.Errorf("pins %+v", pins)
	}
	h.settleAs(other, false)
	h.wantCounts("stand", onsale.Counts{Available: 10})
}

// whatIsRefundedStaysSo sells and takes back, and hears all of it again.
func whatIsRefundedStaysSo(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	whole, part := s.take("buy_a", stand("A-2")), s.take("buy_b", floor(2), stand("B-1", "B-2"))
	s.news(whole, whole.Lines...)
	s.news(part, part.Lines...)
	s.news(whole)
	s.news(part, floorLine(1), standLine("B-1", "B-2"))
	s.news(whole, whole.Lines...)
	s.news(part, part.Lines...)
	s.news(part, floorLine(2), standLine("B-1")) // of two refunds at once: what both leave
	never := onsale.Hold{ID: onsale.NewHoldID("concert", testEpoch), Buyer: "buy_c", Lines: []onsale.Line{standLine("A-3")}}
	s.news(never)
	s.news(never, never.Lines...)
	freed := s.take("buy_d", stand("A-5"))
	s.end(freed, false, time.Time{}) // recovery took it for an orphan
	s.news(freed)
	s.setMeta("clock", time.Now().Add(2*onsale.HoldMemory).UnixMilli())
	s.take("buy_e", stand("B-5")) // which forgets what may be forgotten
	s.news(freed, freed.Lines...)
	s.news(part, part.Lines...)
	if c := s.stocked("stand"); c != (onsale.Counts{Available: 8, Held: 1, Sold: 1}) {
		s.note("a stand of which one is sold: %+v", c)
	}
	if c := s.stocked("floor"); c != (onsale.Counts{Available: 9, Sold: 1}) {
		s.note("a floor of which one is sold: %+v", c)
	}
	s.news(part)
	if c := s.stocked("floor"); c != (onsale.Counts{Available: 10}) {
		s.note("a floor of which nothing is sold: %+v", c)
	}
	return s.wrong
}

func TestRefundReachesAHoldOfAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1"), floor(1))
	h.rebuild(testEpoch+1, Kept{Hold: hold.ID, Buyer: "buy_a", Sold: true, Lines: hold.Lines})
	h.news(hold)
	h.wantCounts("stand", onsale.Counts{Available: 10})
	h.wantCounts("floor", onsale.Counts{Available: 10})
}

func TestRefundOfAStripedEventComesBackAtItsBuyersHome(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 8))
	hold := h.mustHold(h.buyerAt(2, 1), floor(5)) // more than its stripe was laid with
	h.news(hold, hold.Lines...)
	for _, n := range []int{3, 5, 3} { // and older news between
		h.news(hold, floorLine(n))
	}
	shared := h.shares("floor")
	if c := shared.Stripes[2].Counts; c.Sold != 3 {
		t.Errorf("its stripe has %+v", c)
	}
	h.news(hold)
	h.news(hold, hold.Lines...)
	for i, s := range h.shares("floor").Stripes {
		if s.Sold != 0 {
			t.Errorf("stripe %d has %+v", i, s.Counts)
		}
	}
	h.mustHold(h.buyerAt(0, 2), floor(8)) // all of it is for sale to anyone
}

// TestEveryOperationHasALane holds the lanes to the operations that apply.lua knows: one
// without would wait among holds, and be refused by another epoch's.
func TestEveryOperationHasALane(t *testing.T) {
	apply, err := lua.ReadFile("lua/apply.lua")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)local arity = \{(.*?)\}`).FindSubmatch(apply)
	names := regexp.MustCompile(`(\w+) =`).FindAllSubmatch(table[1], -1)
	if len(names) < 10 {
		t.Fatalf("%d operations", len(names))
	}
	for _, name := range names {
		if _, known := laneOf[string(name[1])]; !known {
			t.Errorf("%s has no lane", name[1])
		}
	}
}
