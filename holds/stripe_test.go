package holds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
)

// striped makes the event a floor and a lawn, of so many admissions each, in stripes.
func striped(stripes int, capacity int64) func(*onsale.Event) {
	return func(e *onsale.Event) {
		e.Stripes, e.MaxPerBuyer, e.HoldsPerMinute = stripes, 8, 1_000_000
		e.Sections = []onsale.Section{
			{ID: "floor", Kind: onsale.General, Capacity: capacity, Price: 5000},
			{ID: "lawn", Kind: onsale.General, Capacity: capacity, Price: 5000},
		}
	}
}

// buyerAt is a buyer whose home is a stripe; another one for another n.
func (h *house) buyerAt(stripe, n int) onsale.BuyerID {
	for i := 0; ; i++ {
		buyer := onsale.BuyerID(fmt.Sprintf("buy_%d_%d", n, i))
		if homeOf(h.layout.Event, buyer).stripe == stripe {
			return buyer
		}
	}
}

// another is a desk of another process.
func (h *house) another() *house {
	h.t.Helper()
	other := *h
	cfg := h.desk.cfg
	other.desk = NewDesk(cfg)
	h.t.Cleanup(func() {
		if err := other.desk.Stop(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	return &other
}

// shares are a section's stripes, after checking that each has what it must and that
// all of them, with what is under way, have all there is.
func (h *house) shares(section string) onsale.SharedSection {
	h.t.Helper()
	view, err := h.desk.Inspect(h.t.Context(), h.layout)
	if err != nil {
		h.t.Fatal(err)
	}
	s := h.layout.Section(section)
	shared := view.Shared[s.Index]
	sum := shared.UnderWay
	for i, stripe := range shared.Stripes {
		sum += stripe.Capacity
		if stripe.Total() != stripe.Capacity || min(stripe.Available, stripe.Held, stripe.Pinned, stripe.Sold) < 0 {
			h.t.Errorf("stripe %d of %s has %+v of %d", i, section, stripe.Counts, stripe.Capacity)
		}
	}
	if sum != s.Capacity {
		h.t.Errorf("the stripes of %s have %d of %d: %+v", section, sum, s.Capacity, shared)
	}
	return shared
}

// sellOutFloor has buyers at it until they are told that nothing is left, and returns
// how many admissions they were given. Some give theirs back in between.
func sellOutFloor(t *testing.T, desks []*house, buyer func(n int) onsale.BuyerID) int64 {
	t.Helper()
	var given atomic.Int64
	var wg sync.WaitGroup
	for i := range 12 {
		h := desks[i%len(desks)]
		random := rand.New(rand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			for n := 0; ; n++ {
				want := 1 + random.IntN(3)
				who := buyer(1000*i + n)
				hold, err := h.hold(who, "key", floor(want))
				for onsale.CodeOf(err) == onsale.CodeSoldOut && want > 1 {
					want--
					hold, err = h.hold(who, "less"+strconv.Itoa(want), floor(want))
				}
				switch onsale.CodeOf(err) {
				case "":
					given.Add(int64(want))
				case onsale.CodeSoldOut:
					return
				case onsale.CodeOverloaded:
				default:
					t.Error(err)
					return
				}
				if err == nil && random.IntN(10) == 0 {
					given.Add(-int64(want))
					if err := h.desk.Release(t.Context(), h.layout, hold.ID, who, 0); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return given.Load()
}

func TestAStripedFloorSellsOutExactly(t *testing.T) {
	t.Parallel()
	for name, stripes := range map[string]int{"buyers of every stripe": 0, "buyers of one stripe": 1, "buyers of two stripes": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const capacity = 301
			h := newHouse(t, striped(4, capacity))
			desks := []*house{h, h.another(), h.another()}
			given := sellOutFloor(t, desks, func(n int) onsale.BuyerID {
				if stripes == 0 {
					return onsale.BuyerID(fmt.Sprint("buy_", n))
				}
				return h.buyerAt(n%stripes, n)
			})
			// Who was told that nothing is left was told so before others gave theirs back.
			for n := 0; given < capacity; n++ {
				h.mustHold(h.buyerAt(n%4, 100_000+n), floor(1))
				given++
			}
			if given != capacity {
				t.Errorf("%d admissions were given, of %d", given, capacity)
			}
			h.wantCounts("floor", onsale.Counts{Held: capacity})
			_, err := h.hold("buy_late", "", floor(1))
			if left := wantRefusal(t, err, onsale.CodeSoldOut).Available; left == nil || *left != 0 {
				t.Errorf("left %v", left)
			}
			if shared := h.shares("floor"); shared.UnderWay != 0 {
				t.Errorf("%d are under way at the end", shared.UnderWay)
			}
			h.wantWhole()
		})
	}
}

func TestTheTailIsFoundInOtherStripesAndNothingBeyondIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 7))
	h.mustHold(h.buyerAt(2, 0), floor(6)) // of which its stripe has two
	h.shares("floor")
	_, err := h.hold(h.buyerAt(1, 0), "", floor(2))
	if left := wantRefusal(t, err, onsale.CodeSoldOut).Available; left == nil || *left != 1 {
		t.Errorf("left %v, want the one that is somewhere", left)
	}
	h.mustHold(h.buyerAt(1, 0), floor(1))
	h.wantCounts("floor", onsale.Counts{Held: 7})
}

func TestAFirstChoiceIsFoundInOtherStripesBeforeASecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 8))
	h.mustHold(h.buyerAt(0, 0), floor(2)) // all that stripe has of it
	both := onsale.Ask{Sections: []string{"floor", "lawn"}, Quantity: 4}
	if got := h.mustHold(h.buyerAt(0, 1), both); got.Lines[0].Section != "floor" {
		t.Errorf("got %+v while the floor had 6", got.Lines)
	}
	second, err := h.hold(h.buyerAt(0, 2), "key", both)
	if err != nil || second.Lines[0].Section != "lawn" {
		t.Errorf("got %+v, %v; the floor had 2", second.Lines, err)
	}
	again, err := h.hold(h.buyerAt(0, 2), "key", both)
	if err != nil || again.ID != second.ID {
		t.Errorf("the same key gave %v, %v", again, err)
	}
	basket := h.mustHold(h.buyerAt(3, 0), floor(2), onsale.Ask{Section: "lawn", Quantity: 4})
	if len(basket.Lines) != 2 {
		t.Errorf("the basket has %+v", basket.Lines)
	}
	h.wantCounts("floor", onsale.Counts{Held: 8})
	h.wantCounts("lawn", onsale.Counts{Held: 8})
	_, err = h.hold(h.buyerAt(1, 0), "", both)
	wantCode(t, err, onsale.CodeSoldOut)
}

func TestOneBuyersRulesHoldInAStripedEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 8))
	others := []*house{h, h.another()}
	first, err := h.hold("buy_a", "key", floor(5)) // more than its stripe has
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range others {
		again, err := at.hold("buy_a", "key", floor(5))
		if err != nil || again.ID != first.ID {
			t.Errorf("the same key gave %v, %v", again, err)
		}
		_, err = at.hold("buy_a", "key", floor(4))
		wantCode(t, err, onsale.CodeKeyReused)
		_, err = at.hold("buy_a", "", onsale.Ask{Section: "lawn", Quantity: 4})
		if left := wantRefusal(t, err, onsale.CodeBuyerLimit).Available; left == nil || *left != 3 {
			t.Errorf("left to the buyer: %v", left)
		}
	}
	h.sell(first)
	if got, err := others[1].desk.Look(t.Context(), h.layout, first.ID, "buy_a"); err != nil || got.State != onsale.HoldSold {
		t.Errorf("the hold is %+v, %v", got, err)
	}
	h.wantCounts("floor", onsale.Counts{Available: 3, Sold: 5})
	h.wantWhole()
}

func TestWhatComesBackToOneStripeIsForSaleInAll(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { striped(4, 8)(e); e.HoldSeconds = 1 })
	expiring := h.mustHold(h.buyerAt(0, 0), floor(8))
	_, err := h.hold(h.buyerAt(1, 0), "", floor(1))
	wantCode(t, err, onsale.CodeSoldOut)
	eventually(t, "what expires in one stripe is found from another", func() bool {
		_, err := h.hold(h.buyerAt(1, 0), "key", floor(6))
		if err == nil && time.Now().Before(expiring.ExpiresAt) {
			t.Error("it had not expired")
		}
		return err == nil
	})
	hold, err := h.hold(h.buyerAt(1, 0), "key", floor(6))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.desk.Release(t.Context(), h.layout, hold.ID, h.buyerAt(1, 0), 0); err != nil {
		t.Fatal(err)
	}
	h.mustHold(h.buyerAt(2, 0), floor(8))
	h.wantCounts("floor", onsale.Counts{Held: 8})
	h.wantWhole()
}

// lendAndDie has a stripe lend to another, and nobody borrow it.
func (h *house) lendAndDie(from, to int, n int64) {
	h.t.Helper()
	b := h.desk.book(bookID{h.layout.Event.ID, from}, testEpoch)
	if _, err := h.desk.ask(b, newOperation("lend", "", "", "0", strconv.FormatInt(n, 10), strconv.Itoa(to))); err != nil {
		h.t.Fatal(err)
	}
}

func TestStockOnItsWayIsNeitherLostNorDoubledByACrash(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 8))
	for from := range 3 { // all that is not in stripe 3
		h.lendAndDie(from, 3, 2)
	}
	if shared := h.shares("floor"); shared.UnderWay != 6 {
		t.Errorf("%d are under way, 6 were lent", shared.UnderWay)
	}
	h.wantCounts("floor", onsale.Counts{Available: 8})
	var wg sync.WaitGroup
	for i, at := range []*house{h, h.another(), h.another(), h.another()} {
		wg.Go(func() { // who finds it under way finishes it, whoever else does
			if _, err := at.hold(h.buyerAt(i, 0), "key", floor(2)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if shared := h.shares("floor"); shared.UnderWay != 0 {
		t.Errorf("%d are under way still", shared.UnderWay)
	}
	h.wantCounts("floor", onsale.Counts{Held: 8})
}

func TestStockOnItsWayArrivesThoughNobodyAsksForIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 8))
	f := h.watch(h.mirrors(func(onsale.EventID) {}))
	h.lendAndDie(1, 2, 2)
	eventually(t, "it has arrived", func() bool { return h.shares("floor").UnderWay == 0 })
	if got := h.shares("floor").Stripes[2].Capacity; got != 4 {
		t.Errorf("stripe 2 has %d, want its 2 and the 2 it was lent", got)
	}
	h.agrees(f)
}

func TestALoanOfAnEarlierEpochIsNotBorrowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(2, 8))
	old := loan{section: 0, from: 1, to: 0, total: 4, epoch: testEpoch}
	h.rebuild(testEpoch + 1)
	if err := h.desk.deliver(h.layout, []loan{old}); err != nil {
		t.Fatal(err)
	}
	h.shares("floor")
	h.wantCounts("floor", onsale.Counts{Available: 8})
}

func TestAnOrderThatIsOwedGetsWhatOtherStripesHave(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 8))
	late := h.mustHold("buy_late", floor(3))
	h.settleAs(late, false) // recovery took it for an orphan
	h.mustHold(h.buyerAt(homeOf(h.layout.Event, "buy_late").stripe, 0), floor(3))
	h.settleAs(late, true)
	h.wantCounts("floor", onsale.Counts{Available: 2, Held: 3, Sold: 3})
	if pins := h.pins(); len(pins) != 0 {
		t.Errorf("owed still: %+v", pins)
	}
	h.wantWhole()
}

func TestPinsOfAllStripesAreFoundWithTheirBuyers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, striped(4, 40))
	buyers := map[onsale.BuyerID]onsale.HoldID{}
	for i := range 12 {
		buyer := h.buyerAt(i%3, i) // none in the last stripe
		hold := h.mustHold(buyer, floor(1))
		if _, err := eitherPin(t.Context(), h.desk, h.layout, hold.ID, buyer, 0); err != nil {
			t.Fatal(err)
		}
		buyers[buyer] = hold.ID
	}
	var settlements []Settlement
	for skip := int64(0); ; skip += 5 {
		pins, err := h.desk.Pins(t.Context(), h.layout.Event.ID, 0, skip, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pins {
			if buyers[p.Buyer] != p.Hold {
				t.Errorf("pin %+v is not one, or the buyer's, or was told twice", p)
			}
			delete(buyers, p.Buyer)
			settlements = append(settlements, Settlement{Hold: p.Hold, Buyer: p.Buyer, PinnedAt: p.At})
		}
		if len(pins) < 5 {
			break
		}
	}
	if len(buyers) > 0 {
		t.Errorf("pins not told: %v", buyers)
	}
	if err := h.desk.Settle(t.Context(), h.layout, settlements); err != nil {
		t.Fatal(err)
	}
	h.wantCounts("floor", onsale.Counts{Available: 40})
	h.wantWhole()
}
