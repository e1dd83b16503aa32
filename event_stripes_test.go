package onsale

import (
	"strings"
	"testing"
	"time"
)

func TestOnlyAnEventOfGeneralSectionsHasStripes(t *testing.T) {
	general := Section{ID: "floor", Kind: General, Capacity: 10}
	reserved := Section{ID: "stand", Kind: Reserved, Grid: &Grid{Rows: 1, Seats: 5}}
	for _, c := range []struct {
		stripes  int
		sections []Section
		says     string // "": it is fine
	}{
		{0, []Section{general, reserved}, ""},
		{1, []Section{general, reserved}, ""},
		{2, []Section{general}, ""},
		{MaxStripes, []Section{general}, ""},
		{2, []Section{general, reserved}, `section "stand" is reserved`},
		{-1, []Section{general}, "stripes must be from 1 to 64"},
		{MaxStripes + 1, []Section{general}, "stripes must be from 1 to 64"},
	} {
		e := &Event{ID: "concert", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), Stripes: c.stripes, Sections: c.sections}
		err := e.Complete()
		if (err == nil) != (c.says == "") || err != nil && (CodeOf(err) != CodeBadEvent || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%d stripes of %d sections: %v, want %q", c.stripes, len(c.sections), err, c.says)
		}
		if err == nil && e.Striped() != (c.stripes > 1) {
			t.Errorf("%d stripes: striped %v", c.stripes, e.Striped())
		}
	}
}
