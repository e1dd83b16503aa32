package holds

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"onsale"
)

func TestEveryProcesssMirrorOfAStripedEventEndsAtExactlyRedissView(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { striped(5, 60)(e); e.HoldSeconds = 1 })
	desks := []*house{h, h.another(), h.another()}
	var folders []*folder
	for _, at := range desks {
		folders = append(folders, at.watch(at.mirrors(func(event onsale.EventID) { t.Errorf("%s is amiss", event) })))
	}
	var wg sync.WaitGroup
	for i := range 12 {
		at, random := desks[i%len(desks)], rand.New(rand.NewPCG(2, uint64(i)))
		wg.Go(func() {
			for n := range 12 {
				buyer := onsale.BuyerID(fmt.Sprintf("buy_%d_%d", i, n))
				hold, err := at.hold(buyer, "", floor(1+random.IntN(4)), onsale.Ask{Section: "lawn", Quantity: 1 + random.IntN(3)})
				switch {
				case onsale.CodeOf(err) == onsale.CodeSoldOut, onsale.CodeOf(err) == onsale.CodeOverloaded:
				case err != nil:
					t.Error(err)
				case n%3 == 0:
					at.settleAs(hold, true)
				case n%3 == 1:
					if err := at.desk.Release(t.Context(), at.layout, hold.ID, buyer, 0); err != nil && onsale.CodeOf(err) != onsale.CodeHoldEnded {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "what was held has expired", func() bool { return h.counts("floor").Held == 0 && h.counts("lawn").Held == 0 })
	for i, f := range folders {
		eventually(t, fmt.Sprint("mirror ", i, " agrees"), func() bool { return f.has(h.stock()) })
		if f.resets != 1 {
			t.Errorf("mirror %d was reset %d times where no delta was lost", i, f.resets)
		}
	}
	h.wantWhole()
}

func TestAMirrorOfAStripedEventFollowsItIntoANewEpoch(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(3, 9))
	m := h.mirrors(func(onsale.EventID) {})
	f := h.watch(m)
	h.mustHold("buy_a", floor(4))
	h.agrees(f)
	last := *h.stock()
	h.restartStripe(1)
	last.Sale = onsale.SaleRecovering
	eventually(t, "the loss of a stripe is told", func() bool { return f.has(&last) })
	if err := h.desk.BeginRebuild(t.Context(), h.layout, testEpoch+1); err != nil {
		t.Fatal(err)
	}
	unknown := Kept{Hold: onsale.NewHoldID("concert", testEpoch), Buyer: h.buyerAt(0, 0), Lines: []onsale.Line{{Section: "moon", Quantity: 1}}}
	if err := h.desk.FinishRebuild(t.Context(), h.layout, testEpoch+1, onsale.SaleOpen, []Kept{unknown}); err == nil {
		t.Fatal("a hold of an unknown section was laid")
	}
	eventually(t, "all stripes but the first are known to be laid", func() bool {
		w := m.wholes["concert"]
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.stocks[1].Epoch == testEpoch+1 && w.stocks[2].Epoch == testEpoch+1
	})
	if !f.has(&last) {
		t.Error("stripes of two epochs were added up")
	}
	if err := h.desk.BeginRebuild(t.Context(), h.layout, testEpoch+2); err != nil {
		t.Fatal(err)
	}
	if err := h.desk.FinishRebuild(t.Context(), h.layout, testEpoch+2, onsale.SaleOpen, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new epoch is told", func() bool { return f.has(h.stock()) })
	h.mustHold("buy_a", floor(4))
	h.agrees(f)
}

func TestASoldOutStripedSectionIsRefusedWithoutAskingRedisOnlyIfAllStripesAreKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 16))
	m := h.mirrors(func(onsale.EventID) {})
	h.agrees(h.watch(m))
	granted, err := h.hold("buy_a", "key", floor(8))
	if err != nil {
		t.Fatal(err)
	}
	h.mustHold("buy_b", floor(8))
	request := func(buyer onsale.BuyerID, key string) (*Request, onsale.HoldID) {
		asks, err := h.layout.CheckAsks([]onsale.Ask{floor(8)})
		if err != nil {
			t.Fatal(err)
		}
		return &Request{Buyer: buyer, Asks: asks, Key: key}, h.desk.ids.Derive("concert", testEpoch, buyer, key)
	}
	refuses := func(buyer onsale.BuyerID, key string) bool {
		r, id := request(buyer, key)
		return onsale.CodeOf(m.refuse(h.layout, r, id)) == onsale.CodeSoldOut
	}
	n := 0
	known := func() bool {
		n++
		_, err := h.hold(onsale.BuyerID(fmt.Sprint("buy_late_", n)), strconv.Itoa(n), floor(1))
		wantCode(t, err, onsale.CodeSoldOut)
		return refuses("buy_c", "another")
	}
	eventually(t, "it is refused without asking", known)
	if refuses("buy_a", "key") {
		t.Error("a repeat was refused that was granted before")
	}
	if again, err := h.hold("buy_a", "key", floor(8)); err != nil || again.ID != granted.ID {
		t.Errorf("the repeat gave %+v, %v", again, err)
	}
	eventually(t, "it is refused without asking", known)
	stale := m.wholes["concert"].stripes[2]
	stale.mu.Lock()
	stale.sighted = sightings{}
	stale.mu.Unlock()
	if refuses("buy_c", "another") {
		t.Error("it was refused without asking, and one stripe was not known")
	}
}

func TestAStripeThatSaysAnotherSaleThanTheOthersIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(3, 9))
	m := h.mirrors(func(onsale.EventID) {})
	h.watch(m)
	eventually(t, "all stripes say it is open", func() bool { return m.SaleIs(h.layout, onsale.SaleOpen) && !m.SaleIs(h.layout, onsale.SalePaused) })
	// What two operators at once can leave behind.
	if err := h.desk.setSaleOf(t.Context(), h.desk.book(bookID{h.layout.Event.ID, 2}, testEpoch), onsale.SalePaused); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one stripe is seen to say something else", func() bool { return !m.SaleIs(h.layout, onsale.SaleOpen) })
	if err := h.desk.SetSale(t.Context(), h.layout, onsale.SaleOpen); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they agree again", func() bool { return m.SaleIs(h.layout, onsale.SaleOpen) })
}
