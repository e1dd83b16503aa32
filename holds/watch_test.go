package holds

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"onsale"
)

// A witness plays a scene on the scripts, or on a mutant of them, and returns what is
// not as it was promised, "" if nothing.

// patience is how long a witness waits for what must come.
const patience = 5 * time.Second

// stage is a house whose operations are a script's; the first that fails is kept.
type stage struct {
	*house
	wrong string
}

func onStage(t *testing.T, s *script, change func(*onsale.Event)) *stage {
	t.Helper()
	h := newHouse(t, change)
	h.desk.batcher(h.layout.Event.ID, testEpoch).script = fenced(s)
	return &stage{house: h}
}

// note keeps the first thing that is wrong.
func (s *stage) note(format string, args ...any) {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf(format, args...)
	}
}

// must keeps an error, if there is one.
func (s *stage) must(err error) {
	if err != nil {
		s.note("%v", err)
	}
}

func (s *stage) take(buyer onsale.BuyerID, asks ...onsale.Ask) onsale.Hold {
	hold, err := s.hold(buyer, "", asks...)
	s.must(err)
	return hold
}

func (s *stage) pin(hold onsale.Hold) onsale.Hold {
	pinned, err := eitherPin(s.t.Context(), s.desk, s.layout, hold.ID, hold.Buyer, 0)
	s.must(err)
	return pinned
}

// end settles the hold's order; pinnedAt is for a hold to be freed, zero for whenever.
func (s *stage) end(hold onsale.Hold, sold bool, pinnedAt time.Time) {
	s.must(s.desk.Settle(s.t.Context(), s.layout, []Settlement{{Hold: hold.ID, Sold: sold, Buyer: hold.Buyer, Lines: hold.Lines, PinnedAt: pinnedAt}}))
}

// stocked is the section's counts as Redis has them.
func (s *stage) stocked(section string) (c onsale.Counts) {
	stock, err := s.desk.Stock(s.t.Context(), s.layout)
	if s.must(err); err == nil {
		c = stock.Counts[s.layout.Section(section).Index]
	}
	return c
}

// reader folds what it is told, and at each delta asks Redis at once whether that is so.
type reader struct {
	*stage
	mu     sync.Mutex
	stock  *onsale.Stock // under mu
	resets int           // under mu
	early  string        // under mu; what was told before it was true
}

func (r *reader) Reset(stock *onsale.Stock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stock = stock.Clone()
	r.resets++
}

func (r *reader) Delta(d *onsale.Delta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.desk.Condition(r.t.Context(), r.layout.Event.ID)
	if err != nil || c.Seq < d.Seq {
		r.early = fmt.Sprintf("told of seq %d when Redis had %d, %v", d.Seq, c.Seq, err)
	}
	r.stock.Apply(d)
}

// watched returns a reader of the event that knows its stock.
func (s *stage) watched() *reader {
	r := &reader{stage: s}
	stop, err := s.mirrors(func(onsale.EventID) {}).Watch(s.t.Context(), s.layout, r)
	s.must(err)
	s.t.Cleanup(stop)
	s.within(func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.stock != nil })
	return r
}

// within reports whether it becomes so.
func (s *stage) within(so func() bool) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for !so() {
		if ctx.Err() != nil {
			return false
		}
		pause(ctx, time.Millisecond)
	}
	return true
}

// agrees waits until the reader has all that Redis has.
func (r *reader) agrees(after string) {
	want, err := r.desk.Stock(r.t.Context(), r.layout)
	if r.must(err); err != nil {
		return
	}
	if !r.within(func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.stock.Seq >= want.Seq }) {
		r.note("%s is never told", after)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	want.At = r.stock.At // of the last change, not of the reading
	if !reflect.DeepEqual(r.stock, want) {
		r.note("after %s the feed shows %+v, Redis has %+v", after, r.stock, want)
	}
	if r.resets != 1 || r.early != "" {
		r.note("after %s: %d resets; %s", after, r.resets, r.early)
	}
}

// theFeedTellsAll plays everything that changes the stock, one after the other.
func theFeedTellsAll(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	r := s.watched()
	first := s.take("buy_a", floor(1), stand("A-1", "A-3", "B-2"))
	r.agrees("a hold")
	second := s.take("buy_b", floor(3))
	r.agrees("another hold")
	s.must(s.desk.Release(t.Context(), s.layout, second.ID, "buy_b", 0))
	r.agrees("a release")
	s.pin(first)
	r.agrees("a pin")
	s.end(first, true, time.Time{})
	r.agrees("a confirm")
	third := s.pin(s.take("buy_c", stand("B-5", "B-4")))
	s.end(third, false, time.Time{})
	r.agrees("a free")
	s.must(s.desk.SetSale(t.Context(), s.layout, onsale.SalePaused))
	r.agrees("a pause")
	if _, err := s.hold("buy_d", "", floor(1)); onsale.CodeOf(err) != onsale.CodeNotOnSale {
		s.note("a paused sale answers %v", err)
	}
	return s.wrong
}

// whatFailsIsNotTold makes a write fail, by a key that is of another kind.
func whatFailsIsNotTold(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	hold := s.take("buy_a", stand("A-1"))
	r := s.watched()
	before := s.seq()
	pins, c := newKeys(s.desk.cfg.Namespace, s.layout.Event.ID).all[5], s.client
	s.must(c.Do(t.Context(), c.B().Set().Key(pins).Value("a string").Build()).Error())
	if _, err := eitherPin(t.Context(), s.desk, s.layout, hold.ID, "buy_a", 0); err == nil {
		s.note("a call succeeds that can't have written its pins")
	}
	s.must(c.Do(t.Context(), c.B().Del().Key(pins).Build()).Error())
	if now := s.seq(); now != before {
		s.note("a call that failed made seq %d of %d", now, before)
	}
	s.take("buy_b", stand("A-2"))
	r.agrees("a call that failed and one that didn't")
	return s.wrong
}

func (s *stage) seq() uint64 {
	c, err := s.desk.Condition(s.t.Context(), s.layout.Event.ID)
	s.must(err)
	return c.Seq
}

// theClockIsKept looks whether the event knows how late it has been: that is what
// keeps its time from running backwards when Redis's does.
func theClockIsKept(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	hold := s.take("buy_a", floor(1))
	meta := newKeys(s.desk.cfg.Namespace, s.layout.Event.ID).all[0]
	clock, err := s.client.Do(t.Context(), s.client.B().Hget().Key(meta).Field("clock").Build()).AsInt64()
	s.must(err)
	if want := hold.ExpiresAt.Add(-s.layout.Event.HoldTime()).UnixMilli(); clock != want {
		s.note("the clock is at %d, want %d", clock, want)
	}
	return s.wrong
}

// anOldEpochIsFenced calls in an epoch before Redis's, and in one after it.
func anOldEpochIsFenced(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	s.rebuild(testEpoch + 1)
	b := s.desk.batcher(s.layout.Event.ID, testEpoch)
	asks, err := s.layout.CheckAsks([]onsale.Ask{floor(1)})
	s.must(err)
	for _, epoch := range []onsale.Epoch{testEpoch, testEpoch + 2} {
		b.epoch.Store(uint64(epoch))
		name, args := holdArgs(Request{Buyer: "buy_a", Asks: asks})
		_, err := b.call([]*operation{newOperation(name, onsale.NewHoldID(s.layout.Event.ID, epoch), "buy_a", args...)})
		if answer := (status{}); !errors.As(err, &answer) || answer.epoch != testEpoch+1 {
			s.note("a call in epoch %d is answered %v", epoch, err)
		}
	}
	if c := s.stocked("floor"); c.Available != 10 {
		s.note("a call in another epoch left %+v", c)
	}
	return s.wrong
}

// theIndexesSayWhatTheHoldsAre has a hold of each state, and looks for each in what
// expiry and recovery look into.
func theIndexesSayWhatTheHoldsAre(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	s.take("buy_held", floor(1))
	older, newer := s.pin(s.take("buy_pinned", floor(1))), s.pin(s.take("buy_pinned", floor(1)))
	s.end(s.pin(s.take("buy_sold", floor(1))), true, time.Time{})
	s.end(s.pin(s.take("buy_freed", floor(1))), false, time.Time{})
	s.setMeta("clock", time.Now().Add(time.Second).UnixMilli())
	s.pin(older) // so that it is the newer one
	view, err := s.desk.Inspect(t.Context(), s.layout)
	if s.must(err); err != nil {
		return s.wrong
	}
	if len(view.Holds) != 5 {
		s.note("%d holds are remembered of 5", len(view.Holds))
	}
	for _, r := range view.Holds {
		if isDue := r.State != onsale.HoldPinned && r.State != onsale.HoldSold; isDue == r.Due.IsZero() {
			s.note("%s is %s and due at %v", r.Buyer, r.State, r.Due)
		}
		if (r.State == onsale.HoldPinned) == r.PinnedAt.IsZero() {
			s.note("%s is %s and among the pins at %v", r.Buyer, r.State, r.PinnedAt)
		}
	}
	s.setMeta("clock", 0)
	s.wantPins(-time.Minute, newer.ID, older.ID)
	return s.wrong
}

// wantPins looks for those that were pinned longer ago than age, oldest first.
func (s *stage) wantPins(age time.Duration, want ...onsale.HoldID) {
	pins, err := s.desk.Pins(s.t.Context(), s.layout.Event.ID, age, 0, 100)
	s.must(err)
	var got []onsale.HoldID
	for _, p := range pins {
		got = append(got, p.Hold)
	}
	if !slices.Equal(got, want) {
		s.note("pins %v, want %v", got, want)
	}
}

// recoveryFreesOnlyWhatItSaw frees a pin by when it was seen, though its buyer has asked again.
func recoveryFreesOnlyWhatItSaw(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	hold := s.pin(s.take("buy_a", stand("A-1")))
	pins, err := s.desk.Pins(t.Context(), s.layout.Event.ID, -time.Minute, 0, 1)
	if s.must(err); len(pins) == 0 {
		s.note("no pins")
		return s.wrong
	}
	s.setMeta("clock", time.Now().Add(time.Hour).UnixMilli())
	s.pin(hold)
	s.end(hold, false, pins[0].At)
	if c := s.stocked("stand"); c.Pinned != 1 {
		s.note("freed after it was pinned again: %+v", c)
		return s.wrong
	}
	at := time.UnixMilli(1_800_000_000_000).UTC()
	s.desk.Accept(s.layout, hold.ID, hold.Buyer, at)
	if got := s.pin(hold); !got.AcceptedAt.Equal(at) { // at once: in the same lane
		s.note("accepted at %v, want %v", got.AcceptedAt, at)
	}
	s.desk.Accept(s.layout, hold.ID, hold.Buyer, at.Add(time.Minute))
	s.pin(hold) // after it, in the same lane
	s.end(hold, false, time.Time{})
	if got := s.pin(hold); !got.AcceptedAt.Equal(at) {
		s.note("accepted at %v, once it has ended; want %v", got.AcceptedAt, at)
	}
	return s.wrong
}

// whatIsOwedWaits has a ticketed order find its seat with somebody else.
func whatIsOwedWaits(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	ticketed := s.take("buy_a", stand("A-2"))
	s.end(ticketed, false, time.Time{})
	other := s.take("buy_b", stand("A-2"))
	s.end(ticketed, true, time.Time{})
	if c := s.stocked("stand"); c != (onsale.Counts{Available: 9, Held: 1}) {
		s.note("while it is owed: %+v", c)
	}
	s.wantPins(0, ticketed.ID)
	s.end(other, false, time.Time{})
	s.end(ticketed, true, time.Time{})
	if c := s.stocked("stand"); c != (onsale.Counts{Available: 9, Sold: 1}) {
		s.note("when it is there: %+v", c)
	}
	s.wantPins(0)
	_, err := s.hold("buy_a", "", floor(4))
	if code := onsale.CodeOf(err); code != onsale.CodeBuyerLimit {
		s.note("with a ticket, four more are answered %q", code)
	}
	return s.wrong
}

// aKeyOutlivesItsEpoch asks again under a key whose order was ticketed before.
func aKeyOutlivesItsEpoch(t *testing.T, script *script) string {
	s := onStage(t, script, nil)
	first, err := s.hold("buy_a", "key", stand("A-1"))
	s.must(err)
	s.rebuild(testEpoch+1, Kept{Hold: first.ID, Buyer: "buy_a", Sold: true, Lines: first.Lines})
	again, err := s.hold("buy_a", "key", stand("A-1"))
	if err != nil || again.ID != first.ID || again.State != onsale.HoldSold {
		s.note("asked again: %+v, %v", again, err)
	}
	return s.wrong
}

// allThatIsDueComesBack has more due than one reaping takes, and asks for the seat that is due last.
func allThatIsDueComesBack(t *testing.T, script *script) string {
	const many = 3*reapMost + 1
	s := onStage(t, script, func(e *onsale.Event) { e.Sections[1].Grid = &onsale.Grid{Rows: 1, Seats: many} })
	for i := range many - 1 {
		s.take(onsale.BuyerID("buy_"+strconv.Itoa(i)), stand("A-"+strconv.Itoa(i+1)))
	}
	s.setMeta("clock", time.Now().Add(time.Minute).UnixMilli())
	last := stand("A-" + strconv.Itoa(many))
	s.take("buy_last", last)
	s.setMeta("clock", time.Now().Add(time.Hour).UnixMilli())
	s.take("buy_next", last)
	return s.wrong
}

// aCompanionSitsOnEitherSide leaves a wheelchair's place with a companion's at its left alone.
func aCompanionSitsOnEitherSide(t *testing.T, script *script) string {
	s := onStage(t, script, func(e *onsale.Event) {
		e.Sections[1].Wheelchair, e.Sections[1].Companion = []string{"A-2"}, []string{"A-1", "A-3"}
	})
	s.take("buy_a", onsale.Ask{Section: "stand", Seats: []string{"A-3"}, Accessible: true})
	hold := s.take("buy_b", onsale.Ask{Section: "stand", Quantity: 2, Wheelchair: 1})
	if s.wrong == "" && !slices.Equal(hold.Lines[0].Seats, []string{"A-1", "A-2"}) {
		s.note("got %v", hold.Lines)
	}
	return s.wrong
}
