package persist

import (
	"strings"
	"testing"

	"onsale"
)

func TestStripesThatDontAddUpAreFound(t *testing.T) {
	t.Parallel()
	section := &onsale.SectionLayout{Section: &onsale.Section{ID: "floor", Kind: onsale.General, Capacity: 10}}
	whole := func() *onsale.HoldsView {
		return &onsale.HoldsView{Shared: []onsale.SharedSection{{UnderWay: 2, Stripes: []onsale.SharedStripe{
			{Counts: onsale.Counts{Available: 1, Held: 2}, Capacity: 3},
			{Counts: onsale.Counts{Pinned: 1, Sold: 4}, Capacity: 5},
		}}}}
	}
	for _, c := range []struct {
		spoil func(*onsale.HoldsView)
		says  string // "": nothing is wrong
	}{
		{func(*onsale.HoldsView) {}, ""},
		{func(v *onsale.HoldsView) { v.Shared = nil }, "it is not known what its stripes have"},
		{func(v *onsale.HoldsView) { v.Shared[0].UnderWay = 0 }, "add up to 8 of 10"},
		{func(v *onsale.HoldsView) { v.Shared[0].Stripes[1].Sold++ }, "in stripe 1 add up to 6 of 5"},
		{func(v *onsale.HoldsView) { v.Shared[0].Stripes[0].Counts = onsale.Counts{Available: -1, Held: 4} }, "a count of stripe 0 is negative"},
		{func(v *onsale.HoldsView) { s := &v.Shared[0].Stripes[0]; s.Capacity, s.Available = 4, 2 }, "add up to 11 of 10"},
	} {
		view := whole()
		c.spoil(view)
		if wrong := strings.Join(compareShares(view, section), "; "); (wrong == "") != (c.says == "") || !strings.Contains(wrong, c.says) {
			t.Errorf("found %q, want %q", wrong, c.says)
		}
	}
}
