package feedclient

import (
	"fmt"
	"strings"

	"onsale"
)

// Fold is one client's view of an event, folded from its frames. It follows the
// rules that stand at onsale.FeedProtocol. The zero value waits for its first
// snapshot. Not safe for concurrent use.
type Fold struct {
	view    *onsale.FeedSnapshot // nil before the first snapshot; immutable, shared with other clients
	waiting bool                 // a gap was found, and what ends it hasn't come
	broken  bool                 // the gap is a frame that fitted and couldn't be applied
}

// Apply takes the next frame. gap is true once for each gap: the client must
// then send Resume; until something comes that fits, deltas are passed over.
// An error means that the server broke the protocol, and leaves the view as it was; it is a gap as well.
func (f *Fold) Apply(frame *Frame) (gap bool, err error) {
	if frame.Snapshot != nil {
		f.view, f.waiting, f.broken = frame.Snapshot, false, false
		return false, nil
	}
	step := frame.Step()
	if step == nil || f.view == nil {
		return false, nil
	}
	fits := step.Epoch == f.view.Epoch && step.From == f.view.Seq
	switch {
	case !fits && f.waiting, step.Epoch == f.view.Epoch && step.Seq <= f.view.Seq && !fits:
		return false, nil
	case !fits:
		f.waiting = true
		return true, nil
	}
	after, err := frame.apply(f.view)
	if err != nil {
		gap = !f.waiting
		f.waiting, f.broken = true, true
		return gap, err
	}
	f.view, f.waiting, f.broken = after, false, false
	return false, nil
}

// Resume is what to send on a gap: from where the view stands, unless that can't be led on from.
func (f *Fold) Resume() onsale.FeedRequest {
	r := onsale.FeedRequest{Type: onsale.FrameResume}
	if f.view != nil && !f.broken {
		r.Epoch, r.Seq = f.view.Epoch, f.view.Seq
	}
	return r
}

// View returns what the client sees, or nil before the first snapshot. It must
// not be changed; later frames don't change it.
func (f *Fold) View() *onsale.FeedSnapshot { return f.view }

// Current reports whether the view is up to date as far as the client can know:
// it has had a snapshot and is in no gap.
func (f *Fold) Current() bool { return f.view != nil && !f.waiting }

// Check returns an error if the view contradicts itself: a negative count, or
// counts of a reserved section that aren't those of its letters.
func Check(view *onsale.FeedSnapshot) error {
	for _, s := range view.Sections {
		if s.Available < 0 || s.Held < 0 || s.Pinned < 0 || s.Sold < 0 {
			return fmt.Errorf("section %s at %d: a negative count in %+v", s.ID, view.Seq, s.Counts)
		}
		if s.Seats == "" {
			continue
		}
		letters := onsale.Counts{
			Available: count(s.Seats, onsale.SeatAvailable) + count(s.Seats, onsale.SeatWheelchair) + count(s.Seats, onsale.SeatCompanion),
			Held:      count(s.Seats, onsale.SeatHeld),
			Pinned:    count(s.Seats, onsale.SeatPinned),
			Sold:      count(s.Seats, onsale.SeatSold),
		}
		if letters != s.Counts {
			return fmt.Errorf("section %s at %d: counts %+v, but its seats say %+v", s.ID, view.Seq, s.Counts, letters)
		}
	}
	return nil
}

func count(seats string, state byte) int64 { return int64(strings.Count(seats, string(state))) }

// Differ returns an error that names the first difference between two views, or
// nil if they show the same: event, epoch, sequence, sale, counts and seats.
func Differ(got, want *onsale.FeedSnapshot) error {
	switch {
	case got == nil || want == nil:
		if got == want {
			return nil
		}
		return fmt.Errorf("one of two views is missing")
	case got.Event != want.Event:
		return fmt.Errorf("event %s, want %s", got.Event, want.Event)
	case got.Epoch != want.Epoch || got.Seq != want.Seq:
		return fmt.Errorf("at epoch %d seq %d, want epoch %d seq %d", got.Epoch, got.Seq, want.Epoch, want.Seq)
	case got.Sale != want.Sale:
		return fmt.Errorf("at %d: sale %s, want %s", got.Seq, got.Sale, want.Sale)
	case len(got.Sections) != len(want.Sections):
		return fmt.Errorf("at %d: %d sections, want %d", got.Seq, len(got.Sections), len(want.Sections))
	}
	for i, section := range got.Sections {
		if section != want.Sections[i] {
			return fmt.Errorf("at %d: section %+v, want %+v", got.Seq, section, want.Sections[i])
		}
	}
	return nil
}
