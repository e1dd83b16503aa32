package bench

import (
	"fmt"
	"sync"

	"onsale"
)

// sight looks at whatever any client is shown, at any time, and not at the end alone:
//
//   - no count is below zero, and those of a section add up to its capacity (invariant 1);
//   - on one connection a view never goes back to an earlier seq or epoch (invariant 7). Another process
//     may be a moment behind, so a connection's first frame may.
//
// Clients that are in step share a view, which is looked at once.
type sight struct {
	layout *onsale.Layout
	ledger *ledger

	mu   sync.Mutex
	last *onsale.FeedSnapshot // under mu: the view that was looked at last
	told map[string]struct{}  // under mu: sections whose counts were wrong: once each is enough
}

func newSight(layout *onsale.Layout, l *ledger) *sight {
	return &sight{layout: layout, ledger: l, told: map[string]struct{}{}}
}

// see looks at a client's view, and at the one it had before on the same connection; nil if
// it is the first.
func (s *sight) see(view, before *onsale.FeedSnapshot) {
	if before != nil && behind(view, before) {
		s.ledger.violate(onsale.InvariantFeed, "a feed", "went back from epoch %d seq %d to epoch %d seq %d on one connection",
			before.Epoch, before.Seq, view.Epoch, view.Seq)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if view == s.last {
		return
	}
	for i := range view.Sections {
		shown := &view.Sections[i]
		wrong := s.impossible(shown)
		if _, told := s.told[shown.ID]; wrong == "" || told {
			continue
		}
		s.told[shown.ID] = struct{}{}
		v := onsale.Violation{Invariant: onsale.InvariantCounts, Subject: "section " + shown.ID,
			Detail: fmt.Sprintf("a client is shown at epoch %d seq %d that %s", view.Epoch, view.Seq, wrong)}
		if s.last != nil && i < len(s.last.Sections) {
			v.History = []string{fmt.Sprintf("before that, at epoch %d seq %d: %s", s.last.Epoch, s.last.Seq, countsText(s.last.Sections[i].Counts))}
		}
		s.ledger.accuse(v)
	}
	s.last = view
}

// impossible says what is wrong with a section's counts, "" if nothing is.
func (s *sight) impossible(shown *onsale.FeedSection) string {
	section, c := s.layout.Section(shown.ID), shown.Counts
	switch {
	case section == nil:
		return "there is a section that the event hasn't"
	case c.Available < 0 || c.Held < 0 || c.Pinned < 0 || c.Sold < 0:
		return "a count is below zero: " + countsText(c)
	case c.Available+c.Held+c.Pinned+c.Sold != section.Capacity:
		return fmt.Sprintf("%s, which aren't the %d that there are", countsText(c), section.Capacity)
	}
	return ""
}

func countsText(c onsale.Counts) string {
	return fmt.Sprintf("%d available, %d held, %d pinned, %d sold", c.Available, c.Held, c.Pinned, c.Sold)
}
