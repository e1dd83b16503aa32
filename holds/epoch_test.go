package holds

import (
	"context"
	"testing"

	"onsale"
)

// TestAProcessThatHasNotHeardOfAnEpochGrantsNothingInTheOldOne has another process lay the
// stock anew: whoever still asks in the epoch before must be fenced by the script itself.
func TestAProcessThatHasNotHeardOfAnEpochGrantsNothingInTheOldOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	early := h.mustHold("buy_a", floor(1)) // this process knows the old epoch now
	const next = testEpoch + 1
	other := &house{t: t, layout: h.layout, client: h.client, desk: NewDesk(h.desk.cfg)}
	t.Cleanup(func() {
		if err := other.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	other.rebuild(next)
	hold := h.mustHold("buy_b", floor(2))
	if _, epoch, ok := hold.ID.Parse(); !ok || epoch != next {
		t.Errorf("it grants in epoch %d, and the stock is of %d", epoch, next)
	}
	_, err := eitherPin(t.Context(), h.desk, h.layout, early.ID, "buy_a", 0)
	wantCode(t, err, onsale.CodeHoldEnded) // it was laid without it
	h.wantCounts("floor", onsale.Counts{Available: 8, Held: 2})
}

// TestAnEpochThatWasRaisedAndNeverLaidHoldsUpNobody has a process begin with what Postgres says when two fronts have
// raised an event's epoch, one after the other, and the first has laid the stock before the second could: that one found it whole
// and left it. So Postgres is ahead for good, and who believed it would be refused for good.
func TestAnEpochThatWasRaisedAndNeverLaidHoldsUpNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	first := h.mustHold("buy_a", floor(1))
	event := *h.layout.Event
	event.Epoch = testEpoch + 1
	newcomer := &house{t: t, layout: onsale.NewLayout(&event), client: h.client, desk: NewDesk(h.desk.cfg)}
	t.Cleanup(func() {
		if err := newcomer.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := newcomer.desk.Settle(t.Context(), newcomer.layout, []Settlement{{Hold: first.ID, Buyer: "buy_a", Sold: true, Lines: first.Lines}}); err != nil {
		t.Error(err)
	}
	hold := newcomer.mustHold("buy_b", floor(2))
	if _, epoch, ok := hold.ID.Parse(); !ok || epoch != testEpoch {
		t.Errorf("it grants in epoch %d, and the stock is of %d", epoch, testEpoch)
	}
	h.wantCounts("floor", onsale.Counts{Available: 7, Held: 2, Sold: 1})
}
