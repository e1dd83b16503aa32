package bench

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"onsale"
)

// Undersold is what was there and was refused all the same. A stranger can prove it, if all who
// buy are the bench's own and the stock was not laid anew:
//
// A taking is inventory that a buyer was granted or may have been, from when they asked
// until it is known to be free again: given back, expired, or declined and seen to be released. What
// nobody knows to be free counts as taken for good: so what is paid for does, what is in doubt,
// and what was paid back.
//
// A request for n of a section that was refused as sold out was decided between its
// sending and its answer. All that can have been held, pinned or sold at any moment of that time are the takings
// that began before the answer, less those that were free before the request was sent. If n
// more would have fitted into the section even then, the refusal is unjust, and breaks the first
// invariant: these admissions were neither held, pinned nor sold, and yet not available.
//
// Refusals may be out of date by a moment, since a process that was just told so may say
// for the whole house that it is sold out: so what came back counts as free only justFreed later.
//
// What was undersold is what a section had left when the last buyer had left, as far as it
// was surely free at an unjust refusal. An unjust refusal is a violation, whether or not someone else
// bought what was refused.

const (
	// justFreed is more than a refusal may be out of date (250 ms), and what two clocks differ by.
	justFreed = expirySlack
	// maxRefusals bounds what is remembered: those beyond it are counted, not checked.
	maxRefusals = 1 << 18
	// mostTold is how many unjust refusals of a section are spelled out.
	mostTold = 5
)

// taking is inventory that a buyer was granted, or may have been.
type taking struct {
	lines    []onsale.Line
	asked    time.Time
	deadline time.Time // as the buyer was told; zero if nobody told them
	pinned   bool      // it was paid for, or may have been
	free     time.Time // when it is known to be free; zero: it isn't known
}

// refusedHold is a request for one section that was answered "sold out".
type refusedHold struct {
	section         string
	quantity        int
	asked, answered time.Time
}

// granted records a hold that was asked for first at the given time. It is free at its
// deadline, unless it is pinned.
func (l *ledger) granted(hold *onsale.Hold, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takings[hold.ID] = &taking{lines: hold.Lines, asked: asked, deadline: hold.ExpiresAt, free: hold.ExpiresAt}
}

// maybeGranted records a request of which nobody knows whether it was granted.
func (l *ledger) maybeGranted(lines []onsale.Line, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = append(l.doubted, taking{lines: lines, asked: asked})
}

// pinned records that a hold is about to be paid for.
func (l *ledger) pinned(hold onsale.HoldID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.takings[hold]; t != nil {
		t.pinned, t.free = true, time.Time{}
	}
}

// freed records that a hold is known to have been free at a time.
func (l *ledger) freed(hold onsale.HoldID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.takings[hold]; t != nil {
		t.free = at
	}
}

func (l *ledger) sawFree(f seenFree) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seenFree = append(l.seenFree, f)
}

// freeOnlyThen returns what was seen to be free of holds that were let go, without those whose seats someone
// else had, or may have had, between the deadline and then.
func (l *ledger) freeOnlyThen() []seenFree {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := map[string][]int{} // by seat
	for i, f := range l.seenFree {
		for _, seat := range f.Line.Seats {
			of[f.Line.Section+" "+seat] = append(of[f.Line.Section+" "+seat], i)
		}
	}
	hidden := make([]bool, len(l.seenFree))
	hide := func(hold onsale.HoldID, t *taking) {
		for _, line := range t.lines {
			for _, seat := range line.Seats {
				for _, i := range of[line.Section+" "+seat] {
					f := &l.seenFree[i]
					after := t.deadline.IsZero() || t.deadline.After(f.Deadline) // one is granted for as long as the other
					hidden[i] = hidden[i] || hold != f.Hold && after && t.asked.Before(f.Seen)
				}
			}
		}
	}
	for hold, t := range l.takings {
		hide(hold, t)
	}
	for i := range l.doubted {
		hide("", &l.doubted[i])
	}
	var free []seenFree
	for i, f := range l.seenFree {
		if !hidden[i] {
			free = append(free, f)
		}
	}
	return free
}

func (l *ledger) refused(r refusedHold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.refusals) == maxRefusals {
		l.unweighed++
		return
	}
	l.refusals = append(l.refusals, r)
}

// flow is how many admissions of a section came to be taken, or were free again, by a time.
type flow struct {
	at  []time.Time // rising
	sum []int64     // of those up to and with the one at the same place
}

// until is how many there were by a time, inclusive.
func (f *flow) until(t time.Time) int64 {
	n := sort.Search(len(f.at), func(i int) bool { return f.at[i].After(t) })
	if n == 0 {
		return 0
	}
	return f.sum[n-1]
}

type moment struct {
	at time.Time
	n  int64
}

func newFlow(moments []moment) *flow {
	slices.SortFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	f, sum := &flow{}, int64(0)
	for _, m := range moments {
		sum += m.n
		f.at, f.sum = append(f.at, m.at), append(f.sum, sum)
	}
	return f
}

// flows are, by section, how much was taken and how much was free again.
func (l *ledger) flows() (taken, free map[string]*flow) { // with mu
	begins, ends := map[string][]moment{}, map[string][]moment{}
	add := func(t *taking) {
		for _, line := range t.lines {
			begins[line.Section] = append(begins[line.Section], moment{t.asked, int64(line.Quantity)})
			if !t.free.IsZero() {
				ends[line.Section] = append(ends[line.Section], moment{t.free, int64(line.Quantity)})
			}
		}
	}
	for _, t := range l.takings {
		add(t)
	}
	for i := range l.doubted {
		add(&l.doubted[i])
	}
	taken, free = map[string]*flow{}, map[string]*flow{}
	for section := range begins {
		taken[section], free[section] = newFlow(begins[section]), newFlow(ends[section])
	}
	return taken, free
}

// checkRefusals holds every refusal against the takings, and returns how many admissions
// were undersold, given what is left.
func (l *ledger) checkRefusals(layout *onsale.Layout, left *onsale.FeedSnapshot) (undersold int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken, free := l.flows()
	unjust := map[string][]string{}
	surely := map[string]int64{} // the most that was surely free at an unjust refusal
	for _, r := range l.refusals {
		section, most := layout.Section(r.section), int64(0)
		if section == nil {
			continue
		}
		if t := taken[r.section]; t != nil {
			most = t.until(r.answered) - free[r.section].until(r.asked.Add(-justFreed))
		}
		if section.Capacity-most < int64(r.quantity) {
			continue
		}
		surely[r.section] = max(surely[r.section], section.Capacity-most)
		unjust[r.section] = append(unjust[r.section], fmt.Sprintf("%d were asked for at %s and refused at %s, when %d of %d at the most were held, pinned or sold",
			r.quantity, stamp(r.asked), stamp(r.answered), most, section.Capacity))
	}
	for _, shown := range left.Sections {
		lines := unjust[shown.ID]
		if len(lines) == 0 {
			continue
		}
		l.addViolation(onsale.Violation{Invariant: onsale.InvariantCounts, Subject: "section " + shown.ID, History: lines[:min(len(lines), mostTold)],
			Detail: fmt.Sprintf("is undersold: %d requests were refused as sold out for what was there, and %d are left", len(lines), shown.Available)})
		undersold += min(shown.Available, surely[shown.ID])
	}
	return undersold
}

// story is what is known of a taking, for people.
func (t *taking) story() string {
	text := fmt.Sprintf("asked for at %s, granted %s until %s", stamp(t.asked), places(t.lines), stamp(t.deadline))
	switch {
	case t.pinned && t.free.IsZero():
		text += ", and paid for"
	case t.pinned:
		text += ", paid for, and free again by " + stamp(t.free)
	case t.free.Before(t.deadline):
		text += ", and given back at " + stamp(t.free)
	}
	return text
}

// places are lines for people.
func places(lines []onsale.Line) string {
	text := ""
	for i, line := range lines {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d of %s", line.Quantity, line.Section)
		if len(line.Seats) > 0 {
			text += fmt.Sprint(" ", line.Seats)
		}
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
