package persist

import (
	"fmt"

	"onsale"
)

// checkFeed is invariant 7: a feed client that followed the protocol ends with
// exactly the server's view, gaps and reconnects included.
func checkFeed(b *books, f *findings) {
	view, feed := b.in.View, b.in.Feed
	if view == nil || feed == nil {
		return
	}
	stock, subject := &view.Stock, "feed of "+string(b.in.Event)
	if feed.Event != stock.Event || feed.Epoch != stock.Epoch || feed.Seq != stock.Seq {
		f.add(onsale.InvariantFeed, subject, fmt.Sprintf("it stands at %s epoch %d seq %d, Redis at %s epoch %d seq %d",
			feed.Event, feed.Epoch, feed.Seq, stock.Event, stock.Epoch, stock.Seq))
		return
	}
	if feed.Sale != stock.Sale {
		f.add(onsale.InvariantFeed, subject, fmt.Sprintf("it says that the sale is %s, Redis %s", feed.Sale, stock.Sale))
	}
	sections := b.layout.Sections()
	if len(feed.Sections) != len(sections) || len(stock.Counts) != len(sections) {
		f.add(onsale.InvariantFeed, subject, fmt.Sprintf("it has %d sections, the event %d", len(feed.Sections), len(sections)))
		return
	}
	for i, s := range sections {
		got := feed.Sections[i]
		if got.ID != s.ID || got.Counts != stock.Counts[i] {
			f.add(onsale.InvariantFeed, subject+", section "+s.ID, fmt.Sprintf("it says %s: %s; Redis %s", got.ID, show(got.Counts), show(stock.Counts[i])))
			continue
		}
		if want := string(stock.Seats[s.Start:s.End]); got.Seats != want {
			f.add(onsale.InvariantFeed, subject+", section "+s.ID, differingSeat(s, got.Seats, want))
		}
	}
}

// differingSeat names the first seat that two seat strings of a section disagree on.
func differingSeat(s *onsale.SectionLayout, got, want string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("it says that seat %s is %q, Redis %q", s.Seat(s.Start+i), got[i], want[i])
		}
	}
	return fmt.Sprintf("it has %d letters of seats, Redis %d", len(got), len(want))
}
