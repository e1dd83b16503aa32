package page

import (
	"fmt"

	"onsale"
)

// Kept is what may be said of a report none of whose promises was found broken: that every promise was kept, or,
// if some couldn't be looked at, that those were which could; and a line about each of the others. Whoever says
// it, on a page or in a terminal, says it with this. figure returns a figure by its name, 0 if there is none.
func Kept(unchecked []onsale.Unchecked, figure func(name string) float64) (verdict string, not []string) {
	for _, u := range unchecked {
		not = append(not, u.String())
	}
	if n := figure("expiry_unchecked"); n > 0 {
		not = append(not, fmt.Sprintf("%.0f holds that were let go, whose deadline was too far away to wait for, or by another machine's clock", n))
	}
	if n := figure("undersold_unchecked"); n > 0 {
		not = append(not, fmt.Sprintf("%.0f refusals as sold out, which were more than are remembered", n))
	}
	if len(not) > 0 {
		return "every promise that was checked was kept", not
	}
	return "every promise was kept", nil
}
