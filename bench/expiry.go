package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"onsale"
)

// A hold ends at its deadline, neither before nor after (invariant 6), and what it had can be
// bought from then on. Three witnesses say so:
//
//   - holds that were let go: the bench's own feed sees the seats of each become available. How long after
//     the deadline that is, is the expiry's lag. If Redis did it before the deadline, the hold ended early: both times are by Redis's
//     clock. Who takes the seats at once, within one delta, hides when they were free: the letters don't change
//     until theirs is over, too. So the lag is counted when it is known who had the seats meanwhile, and if
//     someone had, nothing is said of them. Nor can it be seen of general admission.
//   - each of those, whose deadline is near when the last buyer has left, is asked for after it (truth.go):
//     one that is held then has outlived it.
//   - who pays, or gives back, in good time and is told that their hold has ended.

// letGoSeats are the seats of a hold that was let go.
type letGoSeats struct {
	hold     onsale.HoldID
	line     onsale.Line
	section  int   // its index in a view
	offsets  []int // in the section's letters
	granted  time.Time
	deadline time.Time
}

// seenFree are seats of a hold that was let go, when a feed showed them as available.
type seenFree struct {
	Hold     onsale.HoldID `json:"hold"`
	Line     onsale.Line   `json:"line"`
	Deadline time.Time     `json:"deadline"`
	Seen     time.Time     `json:"seen"`
}

// vigil looks at the seats of holds that were let go, on one feed.
type vigil struct {
	ledger *ledger

	mu    sync.Mutex
	epoch onsale.Epoch   // under mu: in which the holds were granted; of the first view
	seats []string       // under mu: the letters of each section that were looked at last
	open  [][]letGoSeats // under mu: by section
}

func newVigil(l *ledger, layout *onsale.Layout) *vigil {
	n := len(layout.Sections())
	return &vigil{ledger: l, seats: make([]string, n), open: make([][]letGoSeats, n)}
}

// follow begins to look at a hold of so long a time.
func (v *vigil) follow(layout *onsale.Layout, hold *onsale.Hold) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, line := range hold.Lines {
		section := layout.Section(line.Section)
		if section == nil || len(line.Seats) == 0 {
			continue
		}
		s := letGoSeats{hold: hold.ID, line: line, section: section.Index, deadline: hold.ExpiresAt, granted: hold.ExpiresAt.Add(-layout.Event.HoldTime())}
		for _, seat := range line.Seats {
			if offset, ok := section.Offset(seat); ok {
				s.offsets = append(s.offsets, offset-section.Start)
			}
		}
		v.open[section.Index] = append(v.open[section.Index], s)
		v.seats[section.Index] = "" // the next view is looked at whole
		return                      // one line says when the hold ended
	}
}

// look takes the next view. It is called by the feed's own goroutine.
func (v *vigil) look(view *onsale.FeedSnapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.epoch == 0 {
		v.epoch = view.Epoch
	}
	for i := range min(len(view.Sections), len(v.open)) {
		letters := view.Sections[i].Seats
		if len(v.open[i]) == 0 || letters == v.seats[i] {
			continue
		}
		v.seats[i] = letters
		kept := v.open[i][:0]
		for _, s := range v.open[i] {
			if view.Epoch == v.epoch && !v.ended(&s, letters, view.At) {
				kept = append(kept, s)
			}
		}
		v.open[i] = kept
	}
}

// ended reports whether there is nothing more to see of a hold. A view that is as old as the grant
// may be from before it. It is called with mu.
func (v *vigil) ended(s *letGoSeats, letters string, at time.Time) bool {
	if !at.After(s.granted) {
		return false
	}
	held := 0
	for _, offset := range s.offsets {
		switch {
		case offset >= len(letters):
			return true
		case letters[offset] == onsale.SeatHeld:
			held++
		case letters[offset] == onsale.SeatAvailable && at.Before(s.deadline):
			v.ledger.violate(onsale.InvariantHolds, string(s.hold), "has ended before its deadline %s: its seats were available at %s, and its buyer didn't give them back",
				stamp(s.deadline), stamp(at))
			return true
		case letters[offset] == onsale.SeatAvailable:
			v.ledger.sawFree(seenFree{s.hold, s.line, s.deadline, time.Now()})
			return true
		}
	}
	return held == 0 // someone else has them
}

// timeExpiry records how long after their deadlines holds that were let go were seen to be free, by a clock
// that is this machine's too. It is for when every ledger is in.
func (r *rush) timeExpiry() {
	if r.cfg.Remote {
		return
	}
	for _, f := range r.ledger.freeOnlyThen() {
		r.m.expiryLag.recordAt(f.Seen, f.Seen.Sub(f.Deadline))
	}
}

// letGo records a hold that its buyer walks away from.
func (r *rush) letGo(hold *onsale.Hold, token string) {
	r.ledger.leave(letGo{hold: hold.ID, token: token, expiresAt: hold.ExpiresAt})
	if !r.cfg.Forgetful {
		r.vigil.follow(r.layout, hold)
	}
}

// checkEnded is for a buyer who is told that their hold has ended: it must be so late.
// What a sending has come to that had no answer nobody knows, nor what a stock has lost, nor how
// late it is on another machine.
func (b *buyer) checkEnded(hold *onsale.Hold, doing string) {
	early := time.Until(hold.ExpiresAt)
	if early < expirySlack || b.inDoubt || b.rush.cfg.Forgetful || b.rush.cfg.Remote {
		return
	}
	b.rush.ledger.violate(onsale.InvariantHolds, string(hold.ID), "was %s %v before its deadline %s, and the answer is that it has ended",
		doing, early.Round(time.Millisecond), stamp(hold.ExpiresAt))
}

// seeFreed looks, after a declined payment, whether what was held is free again. If it isn't yet,
// nobody knows when it will be.
func (b *buyer) seeFreed(ctx context.Context, hold *onsale.Hold) {
	b.think()
	now := new(onsale.Hold)
	err := b.insist(ctx, request{method: "GET", path: "/v1/holds/" + string(hold.ID), token: b.token}, nil, now)
	switch code := onsale.CodeOf(err); {
	case err == nil && now.State == onsale.HoldReleased:
		b.rush.ledger.freed(hold.ID, time.Now())
	case err == nil, code == onsale.CodeUnknownHold, code == onsale.CodeHoldEnded:
	default:
		b.giveUp(ctx, fmt.Sprintf("looking at hold %s", hold.ID), err)
	}
}
