package compare

import (
	"fmt"
	"slices"

	"onsale/bench"
)

// Failure is a report of a run that broke a promise, or proved nothing, in a way in which it did not before.
type Failure struct {
	Scenario string
	Err      error
}

// failures are the reports of a group that fail otherwise than those before did; before may be nil.
func (g *group) failures(before *group) (all []Failure) {
	var known []string
	if before != nil {
		for _, r := range before.reports {
			known = append(known, failings(r)...)
		}
	}
	for _, r := range g.reports {
		if slices.ContainsFunc(failings(r), func(failing string) bool { return !slices.Contains(known, failing) }) {
			all = append(all, Failure{g.scenario, r.Err()})
		}
	}
	return all
}

// failings are the ways in which all is not well with a report: a run that was void says nothing of whether the same run
// would have broken a promise, and one that broke one promise nothing of the others.
func failings(r *bench.Report) (ways []string) {
	if r.Void != "" {
		ways = append(ways, "void")
	}
	for _, v := range r.Audit.Violations {
		ways = append(ways, fmt.Sprintf("invariant %d", v.Invariant))
	}
	for way, n := range map[string]int64{"oversold": r.Audit.Oversold, "lost orders": r.Audit.LostOrders, "double charges": r.Audit.DoubleCharges} {
		if n > 0 {
			ways = append(ways, way)
		}
	}
	return ways
}
