package holds

import (
	"testing"
	"time"

	"onsale"
)

// settleAs settles a hold as the order of its buyer and lines.
func (h *house) settleAs(hold onsale.Hold, sold bool) {
	h.t.Helper()
	s := Settlement{Hold: hold.ID, Sold: sold, Buyer: hold.Buyer, Lines: hold.Lines}
	if err := h.desk.Settle(h.t.Context(), h.layout, []Settlement{s}); err != nil {
		h.t.Fatal(err)
	}
}

func TestAConfirmedHoldThatRecoveryFreedTakesItsSeatsAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1"), floor(1))
	h.settleAs(hold, false)
	h.settleAs(hold, true)
	h.settleAs(hold, true)
	h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	h.wantCounts("floor", onsale.Counts{Available: 9, Sold: 1})
}

func TestATicketedOrderGetsItsSeatInTheEndWhoeverHasIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	ticketed := h.mustHold("buy_a", stand("A-2"))
	h.settleAs(ticketed, false) // recovery took it for an orphan
	other := h.mustHold("buy_b", stand("A-2"))
	h.settleAs(ticketed, true)
	h.wantCounts("stand", onsale.Counts{Available: 9, Held: 1})
	if pins := h.pins(); len(pins) != 1 || pins[0].Hold != ticketed.ID {
		t.Fatalf("owed holds must be found by recovery, pins are %+v", pins)
	}
	h.settleAs(other, false) // Postgres rejects the other's order
	h.settleAs(ticketed, true)
	h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	if pins := h.pins(); len(pins) != 0 {
		t.Errorf("pins %+v after it has its seat", pins)
	}
	_, err := h.hold("buy_c", "", stand("A-2"))
	wantCode(t, err, onsale.CodeSeatTaken)
}

func (h *house) pins() []Pinned {
	h.t.Helper()
	pins, err := h.desk.Pins(h.t.Context(), h.layout.Event.ID, 0, 0, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	return pins
}

func TestAnOrderThatRedisNeverKnewIsSoldWhenItIsConfirmed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	late := h.mustHold("buy_a", stand("A-1"), floor(2))
	h.rebuild(testEpoch + 1) // before its purchase had reached Postgres
	h.wantCounts("stand", onsale.Counts{Available: 10})
	for range 2 {
		h.settleAs(late, true)
	}
	h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	h.wantCounts("floor", onsale.Counts{Available: 8, Sold: 2})
	_, err := h.hold("buy_a", "", floor(2))
	wantCode(t, err, onsale.CodeBuyerLimit)
}

func TestAPinThatWasPinnedAgainIsNotFreedAsAnOrphan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1"))
	pin := func() {
		if _, err := eitherPin(t.Context(), h.desk, h.layout, hold.ID, "buy_a", 0); err != nil {
			t.Fatal(err)
		}
	}
	free := func(at time.Time) {
		if err := h.desk.Settle(t.Context(), h.layout, []Settlement{{Hold: hold.ID, PinnedAt: at}}); err != nil {
			t.Fatal(err)
		}
	}
	pin()
	seen := h.pins()[0].At
	eventually(t, "the clock moves on", func() bool { return h.redisNow().UnixMilli() > seen.UnixMilli() })
	pin() // the buyer asks again
	free(seen)
	h.wantCounts("stand", onsale.Counts{Available: 9, Pinned: 1})
	free(h.pins()[0].At)
	h.wantCounts("stand", onsale.Counts{Available: 10})
}

func TestAnAcceptedHoldSaysSoForAsLongAsItIsRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("A-1"))
	pinned := func() onsale.Hold {
		got, err := eitherPin(t.Context(), h.desk, h.layout, hold.ID, "buy_a", 0)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if !pinned().AcceptedAt.IsZero() {
		t.Error("accepted before it was")
	}
	at := time.UnixMilli(1_800_000_000_123).UTC()
	h.desk.Accept(h.layout, hold.ID, hold.Buyer, at)
	h.desk.Accept(h.layout, hold.ID, hold.Buyer, at.Add(time.Hour)) // the first counts
	eventually(t, "it is noted", func() bool { return pinned().AcceptedAt.Equal(at) })
	h.settleAs(hold, false)
	if got := pinned(); !got.AcceptedAt.Equal(at) || got.State != onsale.HoldReleased {
		t.Errorf("after its order was declined: %+v", got)
	}
}

func TestAKeyBuysOnceHoweverOftenRedisLosesItsMind(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	first, err := h.hold("buy_a", "key", stand("A-1"))
	if err != nil {
		t.Fatal(err)
	}
	for epoch := testEpoch + 1; epoch < testEpoch+4; epoch++ {
		h.rebuild(epoch, Kept{Hold: first.ID, Buyer: "buy_a", Sold: true, Lines: first.Lines})
		again, err := h.hold("buy_a", "key", stand("A-1"))
		if err != nil || again.ID != first.ID || again.State != onsale.HoldSold {
			t.Errorf("epoch %d: %+v, %v", epoch, again, err)
		}
		h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	}
}

func TestASoldHoldIsNeverForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.HoldSeconds = 1 })
	h.desk.cfg.Memory = time.Millisecond
	h.rebuild(testEpoch + 1)
	sold, err := h.hold("buy_a", "key", stand("A-1"))
	if err != nil {
		t.Fatal(err)
	}
	h.sell(sold)
	released := h.mustKeyed("buy_b", "key", stand("A-2"))
	if err := h.desk.Release(t.Context(), h.layout, released.ID, "buy_b", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the released one is forgotten", func() bool {
		_, err := h.desk.Look(t.Context(), h.layout, released.ID, "buy_b")
		return onsale.CodeOf(err) == onsale.CodeUnknownHold
	})
	again, err := h.hold("buy_a", "key", stand("A-1"))
	if err != nil || again.ID != sold.ID || again.State != onsale.HoldSold {
		t.Errorf("%+v, %v", again, err)
	}
}

func (h *house) mustKeyed(buyer onsale.BuyerID, key string, asks ...onsale.Ask) onsale.Hold {
	h.t.Helper()
	hold, err := h.hold(buyer, key, asks...)
	if err != nil {
		h.t.Fatal(err)
	}
	return hold
}

func TestTheAuditorSeesWhatIsOwedAndWhatCantBeRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	ticketed := h.mustHold("buy_a", stand("A-2"))
	h.settleAs(ticketed, false)
	h.mustHold("buy_b", stand("A-2"))
	h.settleAs(ticketed, true)
	broken := h.mustHold("buy_c", floor(1))
	key := newKeys(h.desk.cfg.Namespace, h.layout.Event.ID).all[1]
	c := h.desk.cfg.Client
	if err := c.Do(t.Context(), c.B().Hset().Key(key).FieldValue().FieldValue(string(broken.ID), "h|nonsense").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	view, err := h.desk.Inspect(t.Context(), h.layout)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range view.Holds {
		if r.Owed != (r.ID == ticketed.ID) || (r.Unreadable != "") != (r.ID == broken.ID) {
			t.Errorf("hold %s of %s: owed %v, unreadable %q", r.ID, r.Buyer, r.Owed, r.Unreadable)
		}
	}
}
