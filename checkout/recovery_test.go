package checkout

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
	"onsale/holds"
)

// patrol is a recovery with a book of orders that the test writes.
type patrol struct {
	*hall
	*Recovery
	book map[onsale.OrderID]onsale.Order
	// drained is what happens while recovery waits for Kafka.
	drained func() error
	told    []onsale.OrderNews
}

// newPatrol looks into every pin, however young.
func newPatrol(t *testing.T) *patrol {
	t.Helper()
	return newPatrolOf(newHall(t))
}

func newPatrolOf(h *hall) *patrol {
	p := &patrol{hall: h, book: map[onsale.OrderID]onsale.Order{}, drained: func() error { return nil }}
	p.Recovery = NewRecovery(RecoveryConfig{
		Desk:    p.desk,
		Events:  func() []*onsale.Layout { return []*onsale.Layout{p.layout} },
		Drained: func(context.Context) error { return p.drained() },
		Orders: func(_ context.Context, ids []onsale.OrderID) (map[onsale.OrderID]onsale.Order, error) {
			found := map[onsale.OrderID]onsale.Order{}
			for _, id := range ids {
				if o, ok := p.book[id]; ok {
					found[id] = o
				}
			}
			return found, nil
		},
		Tell: func(_ context.Context, news ...onsale.OrderNews) error { p.told = append(p.told, news...); return nil },
		Log:  quiet(),
	})
	p.age = 0
	return p
}

func (p *patrol) order(hold onsale.Hold, state onsale.OrderState) {
	id := hold.ID.Order()
	p.book[id] = onsale.Order{ID: id, Event: hold.Event, Hold: hold.ID, Buyer: hold.Buyer, Lines: hold.Lines, State: state}
}

func (p *patrol) mustRound() {
	p.t.Helper()
	if err := p.round(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// tick returns when Redis's clock shows another millisecond than at the last pin.
func (p *patrol) tick() {
	p.t.Helper()
	last := p.pins()
	eventually(p.t, "the clock moves on", func() bool {
		stock, err := p.desk.Stock(p.t.Context(), p.layout)
		return err == nil && stock.At.After(last[len(last)-1].At)
	})
}

func (p *patrol) pins() []holds.Pinned {
	p.t.Helper()
	pins, err := p.desk.Pins(p.t.Context(), p.layout.Event.ID, 0, 0, 100)
	if err != nil {
		p.t.Fatal(err)
	}
	return pins
}

func TestOrphanIsFreed(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	hold := p.pin(alice)
	p.mustRound()
	p.wantState(hold, onsale.HoldReleased)
	p.wantFloor(onsale.Counts{Available: 20})
}

func TestYoungPinIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	p.age = onsale.OrphanAge
	hold := p.pin(alice)
	p.drained = func() error { t.Error("a young pin was looked into"); return nil }
	p.mustRound()
	p.wantState(hold, onsale.HoldPinned)
}

func TestOrphanIsLeftAloneWhileItsPurchaseMayBeInKafka(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	hold := p.pin(alice)
	behind := errors.New("the group is behind")
	p.drained = func() error { return behind }
	if err := p.round(t.Context()); !errors.Is(err, behind) {
		t.Errorf("%v", err)
	}
	p.wantState(hold, onsale.HoldPinned)
}

func TestPurchaseThatReachesTheBookWhileRecoveryWaitsIsSeen(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	hold := p.pin(alice)
	p.drained = func() error { p.order(hold, onsale.OrderClaimed); return nil }
	p.mustRound()
	p.wantState(hold, onsale.HoldPinned)
}

func TestOrphanIsLeftAloneWhileTheBookCantBeRead(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	hold := p.pin(alice)
	away := errors.New("no answer")
	p.cfg.Orders = func(context.Context, []onsale.OrderID) (map[onsale.OrderID]onsale.Order, error) { return nil, away }
	if err := p.round(t.Context()); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	p.wantState(hold, onsale.HoldPinned)
}

func TestPinThatIsPinnedAgainWhileItIsLookedIntoIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	hold := p.pin(alice)
	p.drained = func() error { p.tick(); p.pinAgain(hold); return nil }
	p.mustRound()
	p.wantState(hold, onsale.HoldPinned)
}

func TestPinFollowsItsOrderThatRedisWasNotToldOf(t *testing.T) {
	t.Parallel()
	for state, want := range map[onsale.OrderState]onsale.HoldState{
		onsale.OrderAccepted: onsale.HoldPinned,
		onsale.OrderClaimed:  onsale.HoldPinned,
		onsale.OrderPaid:     onsale.HoldPinned,
		onsale.OrderTicketed: onsale.HoldSold,
		onsale.OrderRejected: onsale.HoldReleased,
		onsale.OrderDeclined: onsale.HoldReleased,
		onsale.OrderRefunded: onsale.HoldReleased,
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			p := newPatrol(t)
			hold := p.pin(alice)
			p.order(hold, state)
			for range 2 {
				p.mustRound()
				p.wantState(hold, want)
			}
		})
	}
}

// owe leaves a ticketed order whose seat Redis has given to another's hold, which it
// returns.
func (p *patrol) owe(seat string) (owed, other onsale.Hold) {
	p.t.Helper()
	owed = p.hold(p.layout, alice, stand(seat))
	settle := func(sold bool) {
		p.t.Helper()
		s := holds.Settlement{Hold: owed.ID, Sold: sold, Buyer: owed.Buyer, Lines: owed.Lines}
		if err := p.desk.Settle(p.t.Context(), p.layout, []holds.Settlement{s}); err != nil {
			p.t.Fatal(err)
		}
	}
	settle(false) // it was taken for an orphan
	other = p.hold(p.layout, bob, stand(seat))
	settle(true) // its purchase landed all the same
	p.order(owed, onsale.OrderTicketed)
	return owed, other
}

func TestTicketedOrderGetsTheSeatThatItIsOwedWhenItsHoldEnds(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	_, other := p.owe("A-1")
	p.mustRound()
	if pins := p.pins(); len(pins) != 1 {
		t.Fatalf("while another holds the seat the pins are %+v", pins)
	}
	if err := p.desk.Release(t.Context(), p.layout, other.ID, bob, 0); err != nil {
		t.Fatal(err)
	}
	p.mustRound()
	if c := p.counts("stand"); c != (onsale.Counts{Available: 9, Sold: 1}) || len(p.pins()) != 0 {
		t.Errorf("%+v, pins %+v", c, p.pins())
	}
}

func TestOrphansBehindManyPinsThatStayAreReached(t *testing.T) {
	t.Parallel()
	for name, stays := range map[string]func(p *patrol){
		"since they are being decided": func(p *patrol) {
			for range 7 {
				p.order(p.pin(alice), onsale.OrderClaimed)
			}
		},
		"since they are owed what others hold": func(p *patrol) {
			for _, seat := range []string{"A-1", "A-3", "A-5"} {
				p.owe(seat)
			}
			p.pin(alice) // so that the clock has a pin to move on from
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatrol(t)
			p.most = 2
			stays(p)
			p.tick()
			var orphans []onsale.Hold
			for range 3 {
				orphans = append(orphans, p.pin(bob))
			}
			rounds := 0
			p.drained = func() error {
				if rounds++; rounds > 20 {
					return errors.New("it goes round in circles")
				}
				return nil
			}
			p.mustRound()
			for _, o := range orphans {
				p.wantState(o, onsale.HoldReleased)
			}
		})
	}
}

func TestOneEventThatCantBeReadDoesntKeepTheOthersFromRecovery(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	hold := p.pin(alice)
	p.cfg.Events = func() []*onsale.Layout { return []*onsale.Layout{p.layout, p.layout} }
	unread := errors.New("no answer")
	var asked atomic.Int64
	p.drained = func() error {
		if asked.Add(1) == 1 { // the first of the two
			return unread
		}
		return nil
	}
	if err := p.round(t.Context()); !errors.Is(err, unread) {
		t.Errorf("%v", err)
	}
	p.wantState(hold, onsale.HoldReleased)
}

func TestRecoveryLooksAgainAndAgainUntilItIsStopped(t *testing.T) {
	t.Parallel()
	p := newPatrol(t)
	p.every = 5 * time.Millisecond
	failures := 2
	p.drained = func() error {
		if failures--; failures >= 0 {
			return errors.New("not yet")
		}
		return nil
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		hold := p.pin(alice)
		eventually(t, "the orphan is freed", func() bool { return p.look(hold).State == onsale.HoldReleased })
	}
	stop(t, p.Stop)
	stop(t, p.Stop) // twice is fine
	hold := p.pin(alice)
	p.wantState(hold, onsale.HoldPinned)
}

func TestAnEventThatFailedIsLookedIntoAfterTheOthersAndInItsTurn(t *testing.T) {
	p := newPatrol(t)
	events := func(ids ...onsale.EventID) (all []*onsale.Layout) {
		for _, id := range ids {
			all = append(all, &onsale.Layout{Event: &onsale.Event{ID: id}})
		}
		return all
	}
	ids := func(all []*onsale.Layout) (ids []onsale.EventID) {
		for _, l := range all {
			ids = append(ids, l.Event.ID)
		}
		return ids
	}
	now := time.Now()
	p.looked = map[onsale.EventID]look{
		"dead-1": {at: now.Add(-time.Second), failed: true}, "dead-2": {at: now.Add(-time.Minute), failed: true},
		"fresh": {at: now}, "old": {at: now.Add(-time.Hour)}, "gone": {at: now},
	}
	turn := ids(p.inTurn(events("dead-1", "dead-2", "fresh", "old", "new")))
	if want := []onsale.EventID{"new", "old", "fresh", "dead-2", "dead-1"}; !slices.Equal(turn, want) {
		t.Errorf("in turn %v, want %v", turn, want)
	}
	if _, known := p.looked["gone"]; known {
		t.Error("an event that is gone is remembered")
	}
}
