package realtime

import "onsale"

// Snapshot is the stock as the feed shows it: each section's counts, and the
// part of the event's seat string that is its own.
func Snapshot(layout *onsale.Layout, stock *onsale.Stock) *onsale.FeedSnapshot {
	s := &onsale.FeedSnapshot{
		Type: onsale.FrameSnapshot, Event: stock.Event, Epoch: stock.Epoch, Seq: stock.Seq, At: stock.At, Sale: stock.Sale,
		Sections: make([]onsale.FeedSection, 0, len(stock.Counts)),
	}
	for i, section := range layout.Sections() {
		s.Sections = append(s.Sections, onsale.FeedSection{
			ID: section.ID, Counts: stock.Counts[i], Seats: string(stock.Seats[section.Start:section.End]),
		})
	}
	return s
}

// diff returns the delta that leads from the older stock to the newer one of the
// same epoch, and makes the older one equal to the newer.
func diff(layout *onsale.Layout, older, newer *onsale.Stock) *onsale.FeedDelta {
	d := &onsale.FeedDelta{
		Type: onsale.FrameDelta, Epoch: newer.Epoch, From: older.Seq, Seq: newer.Seq, At: newer.At, Sale: newer.Sale,
		Sections: map[string]onsale.FeedChanges{},
	}
	for i, section := range layout.Sections() {
		was, is := older.Seats[section.Start:section.End], newer.Seats[section.Start:section.End]
		runs := seatRuns(was, is)
		if len(runs) == 0 && older.Counts[i] == newer.Counts[i] {
			continue
		}
		d.Sections[section.ID] = onsale.FeedChanges{Counts: newer.Counts[i], Seats: runs}
		copy(was, is)
	}
	copy(older.Counts, newer.Counts)
	older.Seq, older.At, older.Sale, older.NextDue = newer.Seq, newer.At, newer.Sale, newer.NextDue
	return d
}

// seatRuns returns the letters that differ, in runs.
func seatRuns(was, is []byte) []onsale.FeedRun {
	if string(was) == string(is) {
		return nil // most sections, most ticks: one comparison
	}
	var runs []onsale.FeedRun
	for i := 0; i < len(is); i++ {
		if was[i] == is[i] {
			continue
		}
		start := i
		for i < len(is) && was[i] != is[i] {
			i++
		}
		runs = append(runs, onsale.FeedRun{Offset: start, States: string(is[start:i])})
	}
	return runs
}
