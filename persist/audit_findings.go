package persist

import (
	"fmt"
	"slices"

	"onsale"
)

// maxNamed is how many culprits of one invariant are named, so that a house that is
// wrong seat by seat still gives a report that can be read. The rest are counted.
const maxNamed = 25

// finding is a broken promise, before its culprits' history is known.
type finding struct {
	invariant onsale.Invariant
	subject   string
	detail    string
	orders    []onsale.OrderID
}

// findings collects what the checks find.
type findings struct {
	report onsale.AuditReport
	named  []finding
	more   map[onsale.Invariant]int // found, but not named
	count  map[onsale.Invariant]int
}

func newFindings() *findings {
	return &findings{
		report: onsale.AuditReport{Violations: []onsale.Violation{}, Unchecked: []onsale.Unchecked{}}, // in JSON empty lists, not null
		more:   map[onsale.Invariant]int{}, count: map[onsale.Invariant]int{},
	}
}

// add notes that subject breaks the invariant, and which orders had to do with it.
func (f *findings) add(v onsale.Invariant, subject, detail string, orders ...onsale.OrderID) {
	if f.count[v]++; f.count[v] > maxNamed {
		f.more[v]++
		return
	}
	f.named = append(f.named, finding{invariant: v, subject: subject, detail: detail, orders: orders})
}

// skip notes that an invariant was not checked, or not in full, and why.
func (f *findings) skip(v onsale.Invariant, reason string) {
	f.report.Unchecked = append(f.report.Unchecked, onsale.Unchecked{Invariant: v, Reason: reason})
}

// culprits are the ids of the orders whose history is worth reading, each once.
func (f *findings) culprits() []string {
	var ids []string
	for i := range f.named {
		for _, id := range f.named[i].orders {
			ids = append(ids, string(id))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// conclude makes the report: each finding with the history of its orders, their
// dead letters, what Redis remembers of their holds, and the provider of their charges.
func (f *findings) conclude(b *books, histories map[onsale.OrderID][]string) *onsale.AuditReport {
	r := &f.report
	for _, n := range f.named {
		var history []string
		for _, id := range n.orders {
			history = append(history, histories[id]...)
			history = append(history, describeAllDead(b.dead[id])...)
			if h := b.holds[id.Hold()]; h != nil {
				history = append(history, describeHold(h))
			}
			if b.ledger != nil && id != "" {
				history = append(history, describeEntry(b.ledger[id]))
			}
		}
		r.Add(n.invariant, n.subject, n.detail, history...)
	}
	for v := onsale.InvariantCounts; v <= onsale.InvariantFeed; v++ {
		if n := f.more[v]; n > 0 {
			r.Add(v, "others", fmt.Sprintf("%d more like these", n))
		}
	}
	return r
}

// maxDescribed is how many dead letters of an order, or of none, a report describes.
const maxDescribed = 20

// describeAllDead describes the newest.
func describeAllDead(letters []DeadLetter) (lines []string) {
	if more := len(letters) - maxDescribed; more > 0 {
		lines, letters = append(lines, fmt.Sprintf("%d older dead letters", more)), letters[more:]
	}
	for _, d := range letters {
		lines = append(lines, fmt.Sprintf("%s dead letter of %s: %s", stamp(d.At), d.Origin, d.Reason))
	}
	return lines
}

func describeEntry(e *onsale.LedgerEntry) string {
	if e == nil {
		return "the provider: no charge"
	}
	return fmt.Sprintf("the provider: %s as %s, %d of %d %s, refunded %d", e.Outcome, e.Reference, e.Captures, e.Amount, e.Currency, e.Refunded)
}

func describeHold(h *onsale.HeldRecord) string {
	text := fmt.Sprintf("Redis: hold %s of %s is %s", h.ID, h.Buyer, h.State)
	switch {
	case h.Unreadable != "":
		return fmt.Sprintf("Redis: hold %s: %s", h.ID, h.Unreadable)
	case h.Owed:
		text += ", and owed"
	case h.State == onsale.HoldPinned && !h.PinnedAt.IsZero():
		text += " since " + stamp(h.PinnedAt)
	case h.State == onsale.HoldHeld:
		text += " until " + stamp(h.ExpiresAt)
	}
	return text
}
