package realtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"onsale"
	"onsale/internal/lifecycle"
)

// Who knows that a buyer's hold is about to end? The front that granted it, but the
// buyer's feed may be another process's; and what Redis publishes is read by everybody and
// names no buyer. So the buyer's client says which hold is its own, on a connection that has
// authenticated, and the process that has the connection looks at the hold itself: when it
// is named, when it is about to end, and when it should have ended, which an extension may
// have put off. Redis decides whose it is: someone else's reads as unknown, and nothing is told.
//
// That is true whichever process granted, extended or freed the hold, and nothing of it is
// lost when one dies: the client connects anew and names its hold again. It
// costs three looks a hold, which the desk gathers into calls that are made anyway.
//
// Nothing depends on it: a client knows its hold's deadline, and an ended hold is refused. So
// where a bound is reached, news is late or isn't told.
const (
	// endingNotice is how long before its end a hold's buyer is told.
	endingNotice = 30 * time.Second
	// endedGrace is how long after its deadline a hold is looked at, so that it has ended.
	endedGrace = 250 * time.Millisecond
	// vigilEvery is how often holds are looked at, looksAtOnce of them at the most.
	vigilEvery  = 250 * time.Millisecond
	looksAtOnce = 256
	// lookTimeout bounds a look, and lookAgain is the pause after one that failed.
	lookTimeout = 2 * time.Second
	lookAgain   = time.Second
	// maxFollowed bounds the holds that a gateway follows, and maxFollowedEach those of one buyer.
	maxFollowed     = 1 << 16
	maxFollowedEach = 8
)

// HoldReader looks at holds; *holds.Desk is one.
type HoldReader interface {
	// Look returns the buyer's hold, or a refusal: unknown_hold if it isn't theirs.
	Look(ctx context.Context, l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID) (onsale.Hold, error)
}

// vigil is the holds that a gateway follows. A hold leaves it when it has ended, is being
// paid for, isn't the buyer's, or when no connection of the buyer's is left.
type vigil struct {
	gateway *Gateway
	some    chan struct{} // holds a token when there are holds and there were none

	mu      sync.Mutex
	buyers  map[onsale.BuyerID]map[onsale.HoldID]*followed // under mu
	holding int                                            // under mu: how many holds there are in buyers
}

// followed is a hold. What isn't under mu is the run's alone.
type followed struct {
	buyer     onsale.BuyerID
	hold      onsale.HoldID
	event     onsale.EventID
	theirs    bool      // it was seen to be the buyer's
	announced time.Time // the deadline that the buyer was told is near

	due   time.Time // under the vigil's mu: when to look next
	asked bool      // under the vigil's mu: it was named again since the last look began
}

// follow looks after a hold that a client says is the buyer's.
func (v *vigil) follow(buyer onsale.BuyerID, hold onsale.HoldID) {
	event, _, ok := hold.Parse()
	if !ok || v.gateway.cfg.Holds == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.buyers[buyer][hold]; f != nil {
		f.due, f.asked = time.Time{}, true
		return
	}
	if v.holding == maxFollowed || len(v.buyers[buyer]) == maxFollowedEach {
		v.gateway.meters.unfollowed.Inc()
		return
	}
	if v.buyers == nil {
		v.buyers = map[onsale.BuyerID]map[onsale.HoldID]*followed{}
	}
	if v.buyers[buyer] == nil {
		v.buyers[buyer] = map[onsale.HoldID]*followed{}
	}
	v.buyers[buyer][hold] = &followed{buyer: buyer, hold: hold, event: event}
	if v.holding++; v.holding == 1 {
		offer(v.some)
	}
}

// rouse has all holds of an event looked at: it has a new epoch, in which what was
// only held is lost.
func (v *vigil) rouse(event onsale.EventID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, theirs := range v.buyers {
		for _, f := range theirs {
			if f.event == event {
				f.due, f.asked = time.Time{}, true
			}
		}
	}
}

// run looks at what is due until ctx ends.
func (v *vigil) run(ctx context.Context) {
	lifecycle.EveryWhile(ctx, v.some, vigilEvery, func(ctx context.Context) bool {
		var looks sync.WaitGroup
		for _, f := range v.take(time.Now()) {
			looks.Go(func() { v.look(ctx, f) }) // together, so that the desk makes one call of them
		}
		looks.Wait()
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.holding > 0
	})
}

// take returns some of the holds that are due. Each is looked at again later, unless the look says otherwise.
func (v *vigil) take(now time.Time) (due []*followed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, theirs := range v.buyers {
		for _, f := range theirs {
			if f.due.After(now) {
				continue
			}
			if len(due) == looksAtOnce {
				return due
			}
			if f.asked {
				f.announced = time.Time{} // perhaps by a connection that hasn't heard it
			}
			f.due, f.asked = now.Add(lookAgain), false
			due = append(due, f)
		}
	}
	return due
}

// look looks at a hold, tells its buyer what there is to tell, and says when to look again.
func (v *vigil) look(ctx context.Context, f *followed) {
	g := v.gateway
	if len(g.audience.of(f.buyer)) == 0 {
		v.drop(f)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	layout, err := g.cfg.Lookup(ctx, f.event)
	var hold onsale.Hold
	if err == nil {
		hold, err = g.cfg.Holds.Look(ctx, layout, f.hold, f.buyer)
	}
	var refusal *onsale.Error
	switch {
	case err == nil:
		f.theirs = true
		v.judge(f, hold)
	case !errors.As(err, &refusal) || refusal.RetryAfter > 0:
		// Nobody knows for now; take has said when to look again.
	case f.theirs:
		v.end(f, onsale.HoldExpired) // it was there, and isn't any more
	default:
		v.drop(f) // it isn't theirs, or has been forgotten
	}
}

func (v *vigil) judge(f *followed, hold onsale.Hold) {
	now := time.Now()
	switch hold.State {
	case onsale.HoldPinned, onsale.HoldSold:
		v.drop(f) // its order tells the rest
		return
	case onsale.HoldReleased, onsale.HoldExpired:
		v.end(f, hold.State)
		return
	case onsale.HoldHeld:
	}
	left := hold.ExpiresAt.Sub(now)
	if left > endingNotice {
		v.wait(f, hold.ExpiresAt.Add(-endingNotice))
		return
	}
	if !f.announced.Equal(hold.ExpiresAt) {
		f.announced = hold.ExpiresAt
		v.gateway.audience.tell(f.buyer, kindHold, onsale.FeedHold{
			Type: onsale.FrameHold, Hold: f.hold, State: onsale.HoldHeld, EndsInMs: max(1, left.Milliseconds()), At: now.UTC(),
		})
	}
	if left > 0 {
		v.wait(f, hold.ExpiresAt.Add(endedGrace))
	} // else Redis's clock is behind ours: take has said when to look again
}

// end tells that the hold is no more.
func (v *vigil) end(f *followed, state onsale.HoldState) {
	v.gateway.audience.tell(f.buyer, kindHold, onsale.FeedHold{Type: onsale.FrameHold, Hold: f.hold, State: state, At: time.Now().UTC()})
	v.drop(f)
}

func (v *vigil) wait(f *followed, due time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !f.asked {
		f.due = due
	}
}

func (v *vigil) drop(f *followed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	theirs := v.buyers[f.buyer]
	if theirs[f.hold] != f {
		return
	}
	delete(theirs, f.hold)
	v.holding--
	if len(theirs) == 0 {
		delete(v.buyers, f.buyer)
	}
}
