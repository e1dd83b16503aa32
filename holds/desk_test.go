package holds

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
)

func TestAHoldTakesAllItsLinesOrNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", floor(2), stand("A-1", "A-2"))
	if hold.Amount != 2*5000+2*8000 || hold.State != onsale.HoldHeld || len(hold.Lines) != 2 {
		t.Errorf("hold %+v", hold)
	}
	h.wantCounts("floor", onsale.Counts{Available: 8, Held: 2})
	h.wantCounts("stand", onsale.Counts{Available: 8, Held: 2})

	_, err := h.hold("buy_b", "", floor(3), stand("A-2"))
	refused := wantRefusal(t, err, onsale.CodeSeatTaken)
	if len(refused.Seats) != 1 || refused.Seats[0] != "A-2" || refused.Section != "stand" {
		t.Errorf("refusal %+v", refused)
	}
	h.wantCounts("floor", onsale.Counts{Available: 8, Held: 2})
}

func TestSoldOutSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.mustHold("buy_a", floor(4))
	h.mustHold("buy_b", floor(4))
	_, err := h.hold("buy_c", "", floor(3))
	if refused := wantRefusal(t, err, onsale.CodeSoldOut); *refused.Available != 2 || refused.Section != "floor" {
		t.Errorf("refusal %+v", refused)
	}
	h.mustHold("buy_c", floor(2))
	_, err = h.hold("buy_d", "", floor(1))
	if refused := wantRefusal(t, err, onsale.CodeSoldOut); *refused.Available != 0 {
		t.Errorf("refusal %+v", refused)
	}
}

func TestOneBuyerNeverHasMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", floor(3))
	_, err := h.hold("buy_a", "", floor(2))
	if refused := wantRefusal(t, err, onsale.CodeBuyerLimit); *refused.Available != 1 {
		t.Errorf("refusal %+v", refused)
	}
	// Released admissions don't count; sold ones do.
	if err := h.desk.Release(t.Context(), h.layout, hold.ID, "buy_a", 0); err != nil {
		t.Fatal(err)
	}
	hold = h.mustHold("buy_a", floor(4))
	h.sell(hold)
	_, err = h.hold("buy_a", "", stand("A-1"))
	wantCode(t, err, onsale.CodeBuyerLimit)
}

// sell pins and confirms a hold.
func (h *house) sell(hold onsale.Hold) {
	h.t.Helper()
	if _, err := eitherPin(h.t.Context(), h.desk, h.layout, hold.ID, hold.Buyer, 0); err != nil {
		h.t.Fatal(err)
	}
	h.settleAs(hold, true)
}

func (h *house) settle(id onsale.HoldID, sold bool) {
	h.t.Helper()
	if err := h.desk.Settle(h.t.Context(), h.layout, []Settlement{{Hold: id, Sold: sold}}); err != nil {
		h.t.Fatal(err)
	}
}

func TestTheSameKeyGivesTheSameHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	first, err := h.hold("buy_a", "key", floor(2))
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.hold("buy_a", "key", floor(2))
	if err != nil || again.ID != first.ID || !again.ExpiresAt.Equal(first.ExpiresAt) {
		t.Errorf("again %+v, %v; first %+v", again, err, first)
	}
	h.wantCounts("floor", onsale.Counts{Available: 8, Held: 2})
	_, err = h.hold("buy_a", "key", floor(1))
	wantCode(t, err, onsale.CodeKeyReused)
	if other, err := h.hold("buy_b", "key", floor(2)); err != nil || other.ID == first.ID {
		t.Errorf("another buyer's key is another hold: %+v, %v", other, err)
	}
	h.sell(first)
	if again, err = h.hold("buy_a", "key", floor(2)); err != nil || again.State != onsale.HoldSold {
		t.Errorf("after the sale: %+v, %v", again, err)
	}
}

func TestOnlyTheOwnerTouchesAHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", floor(2))
	wantCode(t, h.desk.Release(t.Context(), h.layout, hold.ID, "buy_b", 0), onsale.CodeUnknownHold)
	_, err := eitherPin(t.Context(), h.desk, h.layout, hold.ID, "buy_b", 0)
	wantCode(t, err, onsale.CodeUnknownHold)
	_, err = h.desk.Look(t.Context(), h.layout, hold.ID, "buy_b")
	wantCode(t, err, onsale.CodeUnknownHold)
	h.wantCounts("floor", onsale.Counts{Available: 8, Held: 2})
}

func TestReleasedSeatsAreSellableAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", stand("B-5"))
	for range 2 { // releasing again changes nothing
		if err := h.desk.Release(t.Context(), h.layout, hold.ID, "buy_a", 0); err != nil {
			t.Fatal(err)
		}
	}
	h.mustHold("buy_b", stand("B-5"))
	h.wantCounts("stand", onsale.Counts{Available: 9, Held: 1})
}

func TestExpiredHoldIsSellableToTheNextRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.HoldSeconds = 1 })
	hold := h.mustHold("buy_a", stand("A-1"))
	var err error
	eventually(t, "the seat comes back", func() bool {
		_, err = h.hold("buy_b", "", stand("A-1"))
		return err == nil
	})
	if now := h.redisNow(); now.Before(hold.ExpiresAt) {
		t.Errorf("sold again at %v, before the deadline %v", now, hold.ExpiresAt)
	}
	_, err = eitherPin(t.Context(), h.desk, h.layout, hold.ID, "buy_a", 0)
	wantCode(t, err, onsale.CodeHoldEnded)
	wantCode(t, h.desk.Release(t.Context(), h.layout, hold.ID, "buy_a", 0), onsale.CodeHoldEnded)
	h.wantCounts("stand", onsale.Counts{Available: 9, Held: 1})
}

func (h *house) redisNow() time.Time {
	h.t.Helper()
	at, err := h.client.Do(h.t.Context(), h.client.B().Time().Build()).AsStrSlice()
	if err != nil {
		h.t.Fatal(err)
	}
	var s, us int64
	if _, err := fmt.Sscan(at[0]+" "+at[1], &s, &us); err != nil {
		h.t.Fatal(err)
	}
	return time.UnixMicro(s*1e6 + us)
}

func TestManyExpiredHoldsAreBackBeforeAnyRefusal(t *testing.T) {
	t.Parallel()
	const many = 3 * reapMost
	h := newHouse(t, func(e *onsale.Event) { e.HoldSeconds = 1; e.Sections[0].Capacity = many })
	var last onsale.Hold
	for i := range many {
		last = h.mustHold(onsale.BuyerID(fmt.Sprint("buy_", i)), floor(1))
	}
	eventually(t, "all are due", func() bool { return h.redisNow().After(last.ExpiresAt) })
	// No sweep has run: this request itself must find the last of them.
	h.mustHold("buy_x", floor(4))
}

func TestAPinnedHoldDoesNotExpire(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.HoldSeconds = 1 })
	pinned := h.mustHold("buy_a", stand("A-1"))
	other := h.mustHold("buy_b", stand("A-2"))
	for range 2 { // pinning again changes nothing
		if _, err := eitherPin(t.Context(), h.desk, h.layout, pinned.ID, "buy_a", 1); err != nil {
			t.Fatal(err)
		}
	}
	_, err := eitherPin(t.Context(), h.desk, h.layout, pinned.ID, "buy_a", 7)
	wantCode(t, err, onsale.CodeHoldEnded)
	wantCode(t, h.desk.Release(t.Context(), h.layout, pinned.ID, "buy_a", 0), onsale.CodeHoldPinned)
	eventually(t, "the other expires", func() bool {
		got, err := h.desk.Look(t.Context(), h.layout, other.ID, "buy_b")
		return err == nil && got.State == onsale.HoldExpired
	})
	h.wantCounts("stand", onsale.Counts{Available: 9, Pinned: 1})
	h.settle(pinned.ID, false)
	h.settle(pinned.ID, false)
	h.wantCounts("stand", onsale.Counts{Available: 10})
}

func TestAPausedSaleHoldsNothingNewAndKeepsWhatIsHeld(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", floor(1))
	if err := h.desk.SetSale(t.Context(), h.layout, onsale.SalePaused); err != nil {
		t.Fatal(err)
	}
	_, err := h.hold("buy_b", "", floor(1))
	wantCode(t, err, onsale.CodeNotOnSale)
	h.sell(hold)
	h.wantCounts("floor", onsale.Counts{Available: 9, Sold: 1})
}

func TestManyBuyersAtOnceNeverGetMoreThanThereIs(t *testing.T) {
	t.Parallel()
	const buyers, capacity = 400, 150
	h := newHouse(t, func(e *onsale.Event) { e.Sections[0].Capacity = capacity })
	var granted, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range buyers {
		wg.Go(func() {
			_, err := h.hold(onsale.BuyerID(fmt.Sprint("buy_", i)), "", floor(1))
			switch onsale.CodeOf(err) {
			case "":
				granted.Add(1)
			case onsale.CodeSoldOut:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted.Load() != capacity || refused.Load() != buyers-capacity {
		t.Errorf("%d granted, %d refused of %d", granted.Load(), refused.Load(), capacity)
	}
	h.wantCounts("floor", onsale.Counts{Held: capacity})
}

func TestAFullQueueIsAnAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	b := h.desk.batcher(h.layout.Event.ID, testEpoch)
	ops := make([]*operation, maxQueued+1)
	for i := range ops {
		ops[i] = newOperation("look", "hld", "buy")
	}
	err := b.submit(ops...)
	if refused := wantRefusal(t, err, onsale.CodeOverloaded); refused.RetryAfter <= 0 {
		t.Errorf("no Retry-After in %+v", refused)
	}
}

func TestRebuildKeepsWhatIsClaimedAndFencesTheOldEpoch(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	old := h.mustHold("buy_a", floor(1))
	sold, paying := h.mustHold("buy_b", stand("A-1")), h.mustHold("buy_c", stand("A-2"), floor(2))
	const next = testEpoch + 1
	h.rebuild(next,
		Kept{Hold: sold.ID, Buyer: "buy_b", Sold: true, Lines: sold.Lines},
		Kept{Hold: paying.ID, Buyer: "buy_c", Lines: paying.Lines})
	h.wantCounts("stand", onsale.Counts{Available: 8, Pinned: 1, Sold: 1})
	h.wantCounts("floor", onsale.Counts{Available: 8, Pinned: 2})

	wantCode(t, h.desk.Release(t.Context(), h.layout, old.ID, "buy_a", 0), onsale.CodeHoldEnded)
	_, err := h.hold("buy_x", "", stand("A-1"))
	wantCode(t, err, onsale.CodeSeatTaken)
	_, err = h.hold("buy_c", "", floor(2))
	wantCode(t, err, onsale.CodeBuyerLimit) // what was claimed still counts

	h.settle(paying.ID, false)
	h.settle(sold.ID, true)
	h.wantCounts("stand", onsale.Counts{Available: 9, Sold: 1})
	h.wantCounts("floor", onsale.Counts{Available: 10})
	for _, epoch := range []onsale.Epoch{testEpoch, next, next + 1} {
		if err := h.desk.BeginRebuild(t.Context(), h.layout, epoch); !errors.Is(err, ErrSuperseded) {
			t.Errorf("a rebuild in epoch %d of a whole stock in epoch %d: %v", epoch, next, err)
		}
	}
}

func TestWhileRecoveringEveryRequestIsToldToComeBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	hold := h.mustHold("buy_a", floor(1))
	h.restart()
	if err := h.desk.BeginRebuild(t.Context(), h.layout, testEpoch+1); err != nil {
		t.Fatal(err)
	}
	_, err := h.hold("buy_b", "", floor(1))
	if refused := wantRefusal(t, err, onsale.CodeRecovering); refused.RetryAfter <= 0 {
		t.Errorf("no Retry-After in %+v", refused)
	}
	wantCode(t, h.desk.Settle(t.Context(), h.layout, []Settlement{{Hold: hold.ID}}), onsale.CodeRecovering)
}

func TestInspectShowsEveryHoldAndBuyer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	held, pinned := h.mustHold("buy_a", floor(2)), h.mustHold("buy_b", stand("A-1"))
	if _, err := eitherPin(t.Context(), h.desk, h.layout, pinned.ID, "buy_b", 0); err != nil {
		t.Fatal(err)
	}
	view, err := h.desk.Inspect(t.Context(), h.layout)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[onsale.HoldID]onsale.HeldRecord{}
	for _, r := range view.Holds {
		byID[r.ID] = r
	}
	if r := byID[held.ID]; r.State != onsale.HoldHeld || !r.Due.Equal(held.ExpiresAt) || !r.PinnedAt.IsZero() {
		t.Errorf("held: %+v", r)
	}
	if r := byID[pinned.ID]; r.State != onsale.HoldPinned || !r.Due.IsZero() || r.PinnedAt.IsZero() {
		t.Errorf("pinned: %+v", r)
	}
	if view.Buyers["buy_a"] != 2 || view.Buyers["buy_b"] != 1 || len(view.Buyers) != 2 {
		t.Errorf("buyers: %v", view.Buyers)
	}
	pins, err := h.desk.Pins(t.Context(), "concert", 0, 0, 10)
	if err != nil || len(pins) != 1 || pins[0].Hold != pinned.ID || pins[0].At.IsZero() {
		t.Errorf("pins: %v, %v", pins, err)
	}
}

func TestAnEventThatRedisForgotIsRecovering(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	k := newKeys(h.desk.cfg.Namespace, h.layout.Event.ID)
	if err := h.client.Do(t.Context(), h.client.B().Del().Key(k.all...).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	_, err := h.hold("buy_a", "", floor(1))
	wantCode(t, err, onsale.CodeRecovering)
	if _, err := h.desk.Stock(t.Context(), h.layout); !errors.Is(err, ErrAbsent) {
		t.Errorf("stock: %v, want ErrAbsent", err)
	}
}
