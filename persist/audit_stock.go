package persist

import "onsale"

// AuditStock checks what Redis has of an event by itself: that counts, seats and holds
// say the same, and hold to their deadlines and limits (invariants 1 and 6). It is for
// where there is no Postgres, as in the bench of the engine alone.
func AuditStock(l *onsale.Layout, view *onsale.HoldsView) []onsale.Violation {
	b := &books{in: AuditInput{Event: l.Event.ID, View: view}, layout: l}
	b.index(nil, nil, nil)
	f := newFindings()
	checkCounts(b, f)
	checkHolds(b, f)
	return f.conclude(b, nil).Violations
}
