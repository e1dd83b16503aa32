package bench

import (
	"fmt"
	"slices"
	"strings"

	"onsale"
)

// withWitnesses adds to each violation what the buyers know of its subject: of an order or a
// hold what they asked for and were told, and of a seat who else was granted it.
func (l *ledger) withWitnesses(violations []onsale.Violation) []onsale.Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := map[string][]string{}
	tell := func(subject, text string) { said[subject] = append(said[subject], text) }
	for id, t := range l.takings {
		story := t.story()
		tell(string(id), story)
		tell(string(id.Order()), story)
		for _, line := range t.lines {
			for _, seat := range line.Seats {
				tell(line.Section+" "+seat, "hold "+string(id)+" "+story)
			}
		}
	}
	for _, p := range l.promises {
		text := fmt.Sprintf("its buyer asked at %s and was answered nothing definite", stamp(p.asked))
		if p.accepted {
			text = fmt.Sprintf("its buyer asked at %s, was answered 202, and then told %q", stamp(p.asked), p.told)
		}
		tell(string(p.order), text)
		tell(string(p.order.Hold()), text)
	}
	out := make([]onsale.Violation, len(violations))
	for i, v := range violations {
		known := said[v.Subject] // a subject of ours is the id alone, or a section and a seat
		if _, id, named := strings.Cut(v.Subject, " "); known == nil && named {
			known = said[id] // as "order ord_…", or "seat stand A-1"
		}
		v.History = append(slices.Clone(v.History), known...)
		out[i] = v
	}
	return out
}
