package realtime

import (
	"testing"

	"onsale"
)

// However large the event, that its stock is in doubt is told in a few bytes; only
// stock that was laid anew is told whole.
func TestDoubtIsToldToEverybodyInASmallFrame(t *testing.T) {
	h := newHouse(t, "show", 20, 50)
	s := serve(t, nil, h)
	early := s.open(t, h)
	eventually(t, early.sees)
	tell := func(sale onsale.Sale) {
		h.say(sale)
		eventually(t, early.sees)
	}
	tell(onsale.SaleRecovering)
	late := s.open(t, h)
	eventually(t, late.sees)
	tell(onsale.SaleOpen) // nothing was lost
	eventually(t, late.sees)
	tell(onsale.SaleRecovering)
	if snapshots, deltas, sales := early.got(onsale.FrameSnapshot), early.got(onsale.FrameDelta), early.got(onsale.FrameSale); snapshots != 1 || deltas != 0 || sales != 3 {
		t.Errorf("%d snapshots, %d deltas and %d sales, want 1, 0 and 3", snapshots, deltas, sales)
	}
	h.newEpoch()
	for _, b := range []*browser{early, late} {
		eventually(t, b.sees)
		if n := b.got(onsale.FrameSnapshot); n != 2 {
			t.Errorf("%d snapshots, want 2", n)
		}
	}
}
