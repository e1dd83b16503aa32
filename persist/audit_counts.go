package persist

import (
	"fmt"
	"strings"

	"onsale"
)

// checkCounts is invariant 1: available + held + pinned + sold = capacity, per
// section, in one Redis snapshot, and no count is negative. The letters of a
// reserved section's seats and the holds of each state say the same as the counts.
func checkCounts(b *books, f *findings) {
	view := b.in.View
	if view == nil {
		return
	}
	sections := b.layout.Sections()
	if len(view.Stock.Counts) != len(sections) || len(view.Stock.Seats) != len(b.layout.Empty()) {
		f.add(onsale.InvariantCounts, "event "+string(b.in.Event), fmt.Sprintf("Redis has %d sections and %d seat bytes, the event %d and %d",
			len(view.Stock.Counts), len(view.Stock.Seats), len(sections), len(b.layout.Empty())))
		return
	}
	byHolds, all := countHolds(b.held)
	all = all && view.InFlux == 0
	for i, s := range sections {
		counts := view.Stock.Counts[i]
		var wrong []string
		if min(counts.Available, counts.Held, counts.Pinned, counts.Sold) < 0 {
			wrong = append(wrong, "a count is negative: "+show(counts))
		}
		if counts.Total() != s.Capacity {
			wrong = append(wrong, fmt.Sprintf("%s add up to %d of %d", show(counts), counts.Total(), s.Capacity))
		}
		if s.Kind == onsale.Reserved {
			wrong = append(wrong, compareLetters(view.Stock.Seats[s.Start:s.End], counts, s.Section)...)
		}
		// Sold holds are forgotten after a while, the others as long as they live never.
		h := byHolds[s.ID]
		if all && (h.Held != counts.Held || h.Pinned != counts.Pinned || h.Sold > counts.Sold) {
			wrong = append(wrong, fmt.Sprintf("the counts say %d held, %d pinned, %d sold; the holds %d, %d, %d",
				counts.Held, counts.Pinned, counts.Sold, h.Held, h.Pinned, h.Sold))
		}
		if b.layout.Event.Striped() {
			wrong = append(wrong, compareShares(view, s)...)
		}
		if len(wrong) > 0 {
			f.add(onsale.InvariantCounts, "section "+s.ID, strings.Join(wrong, "; "))
		}
	}
}

// compareShares returns what is wrong with how a section is spread over stripes: each
// has what it must, and together, with what is under way between them, all there is.
func compareShares(view *onsale.HoldsView, s *onsale.SectionLayout) (wrong []string) {
	if s.Index >= len(view.Shared) {
		return []string{"it is not known what its stripes have"}
	}
	shared := view.Shared[s.Index]
	sum := shared.UnderWay
	for i, stripe := range shared.Stripes {
		if min(stripe.Available, stripe.Held, stripe.Pinned, stripe.Sold) < 0 {
			wrong = append(wrong, fmt.Sprintf("a count of stripe %d is negative: %s", i, show(stripe.Counts)))
		}
		if stripe.Total() != stripe.Capacity {
			wrong = append(wrong, fmt.Sprintf("%s in stripe %d add up to %d of %d", show(stripe.Counts), i, stripe.Total(), stripe.Capacity))
		}
		sum += stripe.Capacity
	}
	if sum != s.Capacity {
		wrong = append(wrong, fmt.Sprintf("its stripes, and what is under way between them, add up to %d of %d", sum, s.Capacity))
	}
	return wrong
}

// compareLetters returns how a section's seat string differs from its counts.
func compareLetters(seats []byte, counts onsale.Counts, s *onsale.Section) []string {
	var have onsale.Counts
	at := 0
	for _, row := range s.Rows {
		for _, letter := range seats[at : at+row.Seats] {
			switch letter {
			case onsale.SeatAvailable, onsale.SeatWheelchair, onsale.SeatCompanion:
				have.Available++
			case onsale.SeatHeld:
				have.Held++
			case onsale.SeatPinned:
				have.Pinned++
			case onsale.SeatSold:
				have.Sold++
			default:
				return []string{fmt.Sprintf("row %s has a seat %q", row.ID, letter)}
			}
		}
		if at += row.Seats; seats[at] != onsale.RowEnd {
			return []string{fmt.Sprintf("row %s ends with %q", row.ID, seats[at])}
		}
		at++
	}
	if have != counts {
		return []string{fmt.Sprintf("the counts say %s; the seats %s", show(counts), show(have))}
	}
	return nil
}

// countHolds adds up the admissions of live holds, by section. all is false if some
// can't be told, since a record is unreadable.
func countHolds(holds []*onsale.HeldRecord) (sums map[string]onsale.Counts, all bool) {
	sums, all = map[string]onsale.Counts{}, true
	for _, h := range holds {
		all = all && h.Unreadable == ""
		if !occupies(h) {
			continue
		}
		for _, line := range h.Lines {
			c, n := sums[line.Section], int64(line.Quantity)
			switch h.State {
			case onsale.HoldHeld:
				c.Held += n
			case onsale.HoldPinned:
				c.Pinned += n
			case onsale.HoldSold:
				c.Sold += n
			}
			sums[line.Section] = c
		}
	}
	return sums, all
}

func show(c onsale.Counts) string {
	return fmt.Sprintf("%d available, %d held, %d pinned, %d sold", c.Available, c.Held, c.Pinned, c.Sold)
}
