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
