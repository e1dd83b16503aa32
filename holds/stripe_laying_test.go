package holds

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"onsale"
)

// restartStripe makes one stripe look as if another run of the server had laid it.
func (h *house) restartStripe(stripe int) {
	h.t.Helper()
	h.tell("HSET", bookID{h.layout.Event.ID, stripe}.keys(h.desk.cfg.Namespace).all[0], "run", "another")
}

func TestAStripedEventIsLaidAroundWhatItsBuyersHaveKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 10))
	var kept []Kept
	for i := range 3 { // 6 of 10, in a stripe that has 2 or 3
		buyer := h.buyerAt(1, i)
		hold := h.mustHold(buyer, floor(2))
		kept = append(kept, Kept{Hold: hold.ID, Buyer: buyer, Sold: i > 0, Lines: hold.Lines})
	}
	h.mustHold(h.buyerAt(3, 0), floor(4)) // which is lost
	h.rebuild(testEpoch+1, kept...)
	h.wantCounts("floor", onsale.Counts{Available: 4, Pinned: 2, Sold: 4})
	for i, s := range h.shares("floor").Stripes {
		if s.Available != 1 {
			t.Errorf("stripe %d was laid with %+v: each should have its part of what is free", i, s.Counts)
		}
	}
	for i, k := range kept {
		if _, err := h.hold(k.Buyer, "", floor(7)); onsale.CodeOf(err) != onsale.CodeBuyerLimit {
			t.Errorf("buyer %d: %v, want buyer_limit", i, err)
		}
	}
	h.mustHold(h.buyerAt(0, 1), floor(4))
	h.wantCounts("floor", onsale.Counts{Held: 4, Pinned: 2, Sold: 4})
	h.wantWhole()
}

func TestMoreThanThereIsIsNotLaidInStripes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 4))
	kept := Kept{Hold: onsale.NewHoldID("concert", testEpoch), Buyer: "buy_a", Sold: true, Lines: []onsale.Line{{Section: "floor", Quantity: 5}}}
	h.restart()
	if err := h.desk.BeginRebuild(t.Context(), h.layout, testEpoch+1); err != nil {
		t.Fatal(err)
	}
	if err := h.desk.FinishRebuild(t.Context(), h.layout, testEpoch+1, onsale.SaleOpen, []Kept{kept}); err == nil {
		t.Error("5 of 4 were laid")
	}
}

// Who finds it so waits for who is at it, or takes over; it was not lost.
func TestAStripedEventThatIsLaidInPartIsStillBeingLaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 40))
	h.restart()
	if err := h.desk.BeginRebuild(t.Context(), h.layout, testEpoch+1); err != nil {
		t.Fatal(err)
	}
	unknown := Kept{Hold: onsale.NewHoldID("concert", testEpoch), Buyer: h.buyerAt(2, 0), Lines: []onsale.Line{{Section: "moon", Quantity: 1}}}
	if err := h.desk.FinishRebuild(t.Context(), h.layout, testEpoch+1, onsale.SaleOpen, []Kept{unknown}); err == nil {
		t.Fatal("a hold of an unknown section was laid")
	}
	if c := h.condition(); c.Whole() || c.Sale != onsale.SaleRecovering || !c.SameRun {
		t.Errorf("laid in part: %+v", c)
	}
	if err := h.desk.BeginRebuild(t.Context(), h.layout, testEpoch+2); err != nil {
		t.Fatal(err)
	}
	if err := h.desk.FinishRebuild(t.Context(), h.layout, testEpoch+2, onsale.SaleOpen, nil); err != nil {
		t.Fatal(err)
	}
	h.wantWhole()
}

func TestAnEventIsNotWholeWithoutEachOfItsStripes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(3, 9))
	for stripe := range 3 {
		for name, lose := range map[string]func(){
			"restarted": func() { h.restartStripe(stripe) },
			"emptied":   func() { h.tell("DEL", bookID{"concert", stripe}.keys(h.desk.cfg.Namespace).all[0]) },
		} {
			epoch := h.condition().Epoch
			if !h.condition().Whole() {
				t.Fatalf("before: %+v", h.condition())
			}
			lose()
			c := h.condition()
			if c.Whole() || c.Sale == onsale.SaleRecovering && c.SameRun {
				t.Errorf("stripe %d %s: %+v, which nobody would lay anew", stripe, name, c)
			}
			if err := h.desk.BeginRebuild(t.Context(), h.layout, epoch+1); err != nil {
				t.Fatalf("stripe %d %s: %v", stripe, name, err)
			}
			for buyer := range 3 { // not one stripe grants anything before all is laid
				_, err := h.hold(h.buyerAt(buyer, 0), "", floor(1))
				wantLater(t, err, onsale.CodeRecovering)
			}
			if c := h.condition(); c.Sale != onsale.SaleRecovering || !c.SameRun {
				t.Errorf("being laid: %+v", c)
			}
			if err := h.desk.FinishRebuild(t.Context(), h.layout, epoch+1, onsale.SaleOpen, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.wantWhole()
}

func (h *house) condition() Condition {
	h.t.Helper()
	c, err := h.desk.Condition(h.t.Context(), h.layout.Event.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// Who comes late must not empty what another process has just laid whole, nor lay a
// part of it.
func TestOfTwoLayingsOfAStripedEventOneIsDoneWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 40))
	for round := range 20 {
		h.restartStripe(round % 4)
		var wg sync.WaitGroup
		begun := h.condition().Epoch
		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() {
				epoch := begun + 1 + onsale.Epoch(i)
				if errs[i] = h.desk.BeginRebuild(t.Context(), h.layout, epoch); errs[i] == nil {
					errs[i] = h.desk.FinishRebuild(t.Context(), h.layout, epoch, onsale.SaleOpen, nil)
				}
			})
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !errors.Is(err, ErrSuperseded) {
				t.Fatal(err)
			}
		}
		if c := h.condition(); done == 0 || !c.Whole() {
			t.Fatalf("round %d: %d done, %v, the event is %+v", round, done, errs, c)
		}
		h.shares("floor")
		if err := h.desk.BeginRebuild(t.Context(), h.layout, begun+10); !errors.Is(err, ErrSuperseded) {
			t.Fatalf("a whole event was emptied: %v", err)
		}
	}
}

func TestASaleIsPausedInAllStripes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 40))
	f := h.watch(h.mirrors(func(onsale.EventID) {}))
	for _, sale := range []onsale.Sale{onsale.SalePaused, onsale.SaleOpen} {
		if err := h.desk.SetSale(t.Context(), h.layout, sale); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			_, err := h.hold(h.buyerAt(i, 0), "", floor(1))
			if refused := onsale.CodeOf(err) == onsale.CodeNotOnSale; refused != (sale == onsale.SalePaused) {
				t.Errorf("%s: stripe %d: %v", sale, i, err)
			}
		}
		h.agrees(f)
	}
}

// houseOverAll is a striped house with at least one stripe on each master.
func houseOverAll(t *testing.T, masters []*redisServer, change func(*onsale.Event)) (h *house, at []int) {
	t.Helper()
	for i := 0; ; i++ {
		id := onsale.EventID(fmt.Sprintf("concert-%d", i))
		h = houseOn(t, addressOf(masters), func(e *onsale.Event) { change(e); e.ID = id })
		at = nil
		for _, book := range booksOf(h.layout.Event) {
			reply, err := masters[0].ask("CLUSTER", "KEYSLOT", book.keys(h.desk.cfg.Namespace).all[0])
			if err != nil {
				t.Fatal(err)
			}
			slot, err := reply.AsInt64()
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, int(slot)*len(masters)/clusterSlots)
		}
		if slices.Contains(at, 0) && slices.Contains(at, 1) && slices.Contains(at, 2) {
			return h, at
		}
	}
}

func TestAStripedFloorOverAllMastersOfAClusterSellsOutExactly(t *testing.T) {
	t.Parallel()
	masters := startCluster(t, 3, 0)
	const capacity = 300
	h, at := houseOverAll(t, masters, striped(6, capacity))
	t.Logf("stripes are at masters %v", at)
	amiss := make(chan onsale.EventID, 1)
	f := h.watch(h.mirrors(func(event onsale.EventID) {
		select {
		case amiss <- event:
		default:
		}
	}))
	desks := []*house{h, h.another(), h.another()}
	given := sellOutFloor(t, desks, func(n int) onsale.BuyerID { return onsale.BuyerID(fmt.Sprint("buy_", n)) })
	for ; given < capacity; given++ {
		h.mustHold(onsale.BuyerID(fmt.Sprint("buy_late_", given)), floor(1))
	}
	h.wantCounts("floor", onsale.Counts{Held: capacity})
	h.shares("floor")
	h.wantWhole()
	h.agrees(f)

	lost := masters[2]
	for i, book := range booksOf(h.layout.Event) { // one master forgets all it had
		if at[i] == 2 {
			for _, key := range book.keys(h.desk.cfg.Namespace).all {
				lost.tell("DEL", key)
			}
		}
	}
	<-amiss
	h.layAgain(testEpoch + 1)
	h.wantCounts("floor", onsale.Counts{Available: capacity})
	h.mustHold("buy_a", floor(8))
	h.shares("floor")
	h.agrees(f)
}
