package realtime

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
)

// book is the holds of a test, as Redis knows them.
type book struct {
	mu    sync.Mutex
	holds map[onsale.HoldID]onsale.Hold // under mu
	fails error                         // under mu: what every look is answered
	looks int                           // under mu
}

// Look implements HoldReader.
func (b *book) Look(_ context.Context, _ *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID) (onsale.Hold, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	hold, ok := b.holds[id]
	if b.fails != nil {
		return onsale.Hold{}, b.fails
	}
	if !ok || hold.Buyer != buyer {
		return onsale.Hold{}, onsale.Refuse(onsale.CodeUnknownHold, "there is no such hold of yours")
	}
	return hold, nil
}

func (b *book) set(buyer onsale.BuyerID, id onsale.HoldID, state onsale.HoldState, left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holds[id] = onsale.Hold{ID: id, Buyer: buyer, State: state, ExpiresAt: time.Now().Add(left)}
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = err
}

func withBook(t *testing.T, h *house) (*stage, *book) {
	b := &book{holds: map[onsale.HoldID]onsale.Hold{}}
	return serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.Holds = b }, h), b
}

// told returns an error unless the browser was told just this of holds: "held" or what they came to.
func (b *browser) told(want ...onsale.HoldState) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var got []onsale.HoldState
	for _, f := range b.holds {
		got = append(got, f.State)
		if (f.State == onsale.HoldHeld) != (f.EndsInMs > 0) || f.EndsInMs > endingNotice.Milliseconds() {
			return fmt.Errorf("told %+v", f)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("told %v, want %v", got, want)
	}
	return b.breach
}

// following returns an error unless so many holds are followed.
func (s *stage) following(want int) error {
	v := &s.gateway.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, theirs := range v.buyers {
		n += len(theirs)
	}
	if n != want || v.holding != want {
		return fmt.Errorf("%d holds are followed and %d counted, want %d", n, v.holding, want)
	}
	return nil
}

func TestBuyerIsToldThatTheirHoldIsAboutToEndAndHasEnded(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s, book := withBook(t, h)
	phone, laptop, someone := s.open(t, h), s.open(t, h), s.open(t, h)
	s.signIn(t, phone, "buy_a")
	s.signIn(t, laptop, "buy_a")
	s.signIn(t, someone, "buy_b")
	hold := onsale.NewHoldID("show", 1)
	book.set("buy_a", hold, onsale.HoldHeld, endingNotice/2)

	someone.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold}) // knows the id, and is not its buyer
	eventually(t, func() error {
		book.mu.Lock()
		defer book.mu.Unlock()
		if book.looks == 0 {
			return errNotTold
		}
		return nil
	})
	eventually(t, func() error { return s.following(0) })
	phone.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold})
	eventually(t, func() error { return phone.told(onsale.HoldHeld) })
	eventually(t, func() error { return laptop.told(onsale.HoldHeld) })

	book.set("buy_a", hold, onsale.HoldExpired, 0)
	s.gateway.vigil.rouse("show") // time goes by
	eventually(t, func() error { return s.following(0) })
	state := []onsale.HoldState{onsale.HoldHeld, onsale.HoldExpired}
	eventually(t, func() error { return phone.told(state...) })
	eventually(t, func() error { return laptop.told(state...) })
	if err := someone.told(); err != nil {
		t.Errorf("the other buyer: %v", err)
	}
}

func TestHoldThatWasExtendedIsToldOfAgainWhenItIsAboutToEndAgain(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s, book := withBook(t, h)
	b := s.open(t, h)
	s.signIn(t, b, "buy_a")
	hold := onsale.NewHoldID("show", 1)
	book.set("buy_a", hold, onsale.HoldHeld, endedGrace) // it is looked at when that is over
	b.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold})
	eventually(t, func() error { return b.told(onsale.HoldHeld) })
	book.set("buy_a", hold, onsale.HoldHeld, endingNotice/2)
	eventually(t, func() error { return b.told(onsale.HoldHeld, onsale.HoldHeld) })
	if err := s.following(1); err != nil {
		t.Error(err)
	}
}

func TestHoldThatIsPaidForIsItsOrdersToTell(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s, book := withBook(t, h)
	b := s.open(t, h)
	s.signIn(t, b, "buy_a")
	for _, state := range []onsale.HoldState{onsale.HoldPinned, onsale.HoldSold} {
		hold := onsale.NewHoldID("show", 1)
		book.set("buy_a", hold, state, time.Hour)
		b.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold})
		eventually(t, func() error { return s.following(1) })
		eventually(t, func() error { return s.following(0) })
	}
	if err := b.told(); err != nil {
		t.Error(err)
	}
}

// A new epoch keeps nothing that was only held, and Redis then doesn't know the hold.
func TestBuyerIsToldAtOnceThatANewEpochHasLostTheirHold(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s, book := withBook(t, h)
	b := s.open(t, h)
	s.signIn(t, b, "buy_a")
	hold := onsale.NewHoldID("show", 1)
	book.set("buy_a", hold, onsale.HoldHeld, time.Hour)
	b.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold})
	eventually(t, func() error {
		book.mu.Lock()
		defer book.mu.Unlock()
		if book.looks == 0 {
			return errNotTold
		}
		return nil
	})
	book.fail(onsale.Busy(onsale.CodeRecovering, "wait", time.Second, nil))
	h.newEpoch()
	eventually(t, b.sees)
	if err := s.following(1); err != nil {
		t.Errorf("while nobody knows: %v", err)
	}
	book.fail(onsale.Refuse(onsale.CodeHoldEnded, "it has ended"))
	eventually(t, func() error { return b.told(onsale.HoldExpired) })
	eventually(t, func() error { return s.following(0) })
}

func TestHoldsAreFollowedWithinBoundsAndForNobodyNoLonger(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s, book := withBook(t, h)
	b := s.open(t, h)
	s.signIn(t, b, "buy_a")
	for range maxFollowedEach + 3 {
		hold := onsale.NewHoldID("show", 1)
		book.set("buy_a", hold, onsale.HoldHeld, time.Hour)
		b.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold})
	} // not so many that the client is closed for it
	b.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: "no hold"})
	eventually(t, func() error { return s.following(maxFollowedEach) })
	eventually(t, func() error {
		if n := s.count("onsale_feed_unfollowed_holds_total"); n != 3 {
			return fmt.Errorf("%d were counted as not followed, want 3", n)
		}
		return nil
	})
	b.leave()
	eventually(t, func() error { return s.watching("buy_a", 0) })
	s.gateway.vigil.rouse("show")
	eventually(t, func() error { return s.following(0) })
}
