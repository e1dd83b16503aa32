package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onsale"
)

// A buyer does what a person with a browser does, one step after the other: arrive,
// sign in, watch the feed, hold what it shows, pay, wait for the result, fetch the
// tickets. Each step is due when the pause before it is over, and is timed from then.
//
// Every request that changes something goes out under an Idempotency-Key and is
// repeated until it is answered, as a careful client does; see insist.

const (
	// most of how often a request is repeated, because the server was busy or no answer came.
	maxRepeats = 6
	// firstRepeat is the pause before a request that got no answer is repeated; it doubles each time.
	firstRepeat = 100 * time.Millisecond
	// longestBusyWait bounds the Retry-After that a buyer has the patience for.
	longestBusyWait = 10 * time.Second
	// feedPatience is how long a buyer looks at a page without a seat map.
	feedPatience = 20 * time.Second
	// firstPoll is how long a buyer waits for the feed's word before asking for the order, as Onsale's page does; it
	// grows by half each time, up to longestPoll.
	firstPoll   = 10 * time.Second
	longestPoll = 30 * time.Second
	// weary is how many times their usual pause people take before they try again, at the most: once after
	// the first refusal, twice after the second.
	weary = 5
	// afterCut is how soon a buyer asks a second time when their feed was cut.
	afterCut = 500 * time.Millisecond
)

// buyer is one simulated person. Its fields belong to the goroutine of its visit.
type buyer struct {
	*temper
	rush  *rush
	token string
	feed  *watch
	due   time.Time // when the next step should begin
	keys  int       // Idempotency-Keys used
	came  time.Time // when they arrived; zero once their first press was answered, or given up
	gone  time.Time // when a refusal said that there is nothing for them; zero if none did

	waited  bool // before the doors: they press once, whatever is shown
	inDoubt bool // since a step set it to false, a sending had no answer that says what was done
}

// visit is the whole life of a buyer who arrives at the given time, and is counted as active.
func (b *buyer) visit(ctx context.Context, arrival time.Time) {
	defer b.rush.m.active.Add(-1)
	b.due, b.came = arrival, arrival
	if b.feed == nil && (!b.signIn(ctx) || !b.openFeed(ctx)) {
		return
	}
	if b.isBot {
		b.raid(ctx)
		return
	}
	hold, ok := b.shop(ctx)
	if !ok {
		return
	}
	b.think()
	if b.losesFeed {
		b.feed.cut()
	}
	switch b.ending {
	case givesItBack:
		b.release(ctx, hold)
	case letsItGo:
		b.rush.letGo(hold, b.token)
	case paysForIt:
		b.buy(ctx, hold)
	}
}

// think makes the next step due after a pause from now.
func (b *buyer) think() { b.due = time.Now().Add(b.pause()) }

func (b *buyer) signIn(ctx context.Context) bool {
	var session struct {
		Token string         `json:"token"`
		Buyer onsale.BuyerID `json:"buyer"`
	}
	err := b.insist(ctx, request{method: "POST", path: "/v1/sessions"}, b.timing(&b.rush.m.session, nil), &session)
	if err != nil {
		return b.giveUp(ctx, "signing in", err)
	}
	b.token = session.Token
	return true
}

// openFeed opens the feed and waits until it shows something.
func (b *buyer) openFeed(ctx context.Context) bool {
	b.feed = b.rush.watch(b.token)
	ctx, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	select {
	case <-b.feed.ready:
		b.think()
		return true
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			b.rush.m.feedOpen.record(feedPatience)
			b.rush.m.silent.Add(1)
		}
		b.rush.m.errors.Add(1)
		return b.giveUp(ctx, "opening the feed", errors.Join(errors.New("no snapshot in time"), b.feed.lastError()))
	}
}

// sees is what the feed shows, unless the buyer knows better: who was told that there is nothing for them
// believes it until the feed tells of a later moment.
func (b *buyer) sees() *onsale.FeedSnapshot {
	view := b.feed.view()
	if view == nil || view.At.Before(b.gone) {
		return nil
	}
	return view
}

// refuse has the buyer believe the refusal of what they asked for then. It returns what that says could be had instead.
func (b *buyer) refuse(err error, asked time.Time) []onsale.Offer {
	refusal, ok := errors.AsType[*onsale.Error](err)
	if !ok {
		return nil
	}
	if refusal.Code == onsale.CodeSoldOut && len(refusal.Nearby) == 0 {
		b.gone = asked
	}
	return refusal.Nearby
}

// shop tries to hold what the feed shows, and tries again when someone else was faster: what the
// refusal says is left nearby, or other seats, other sections, fewer of them, until nothing is left. Then it looks on for
// a while, because others' holds and declined payments come back.
func (b *buyer) shop(ctx context.Context) (*onsale.Hold, bool) {
	var nearby []onsale.Offer // what the last refusal said is left
	for refusals, looks := 0, 0; refusals < mostRefusals && looks < b.looks; {
		if !b.rush.alarm.until(ctx, b.due) {
			return nil, false
		}
		lines := suggested(b.temper, b.rush.layout, nearby)
		if nearby = nil; lines == nil {
			lines = choose(b.temper, b.rush.layout, b.sees())
		}
		if lines == nil && b.waited && !b.came.IsZero() {
			lines = blindly(b.temper, b.rush.layout)
		}
		if lines == nil {
			looks++
			b.think()
			continue
		}
		asked := time.Now()
		hold, err := b.hold(ctx, lines)
		b.pressed(ctx)
		if err == nil {
			return hold, true
		}
		switch onsale.CodeOf(err) {
		case onsale.CodeSeatTaken, onsale.CodeSoldOut, onsale.CodeNotTogether:
			nearby = b.refuse(err, asked)
			if onsale.CodeOf(err) == onsale.CodeNotTogether {
				b.quantity = max(1, b.quantity-1)
			}
			refusals++
			b.rush.m.refused.Add(1)
			b.due = time.Now().Add(b.pause() * time.Duration(min(refusals, weary)))
		default:
			return nil, b.giveUp(ctx, "holding", err)
		}
	}
	b.rush.m.emptied.Add(1)
	return nil, false
}

// pressed notes how long it took until the buyer's first press was answered definitely: with a hold,
// or with a refusal that isn't to come again later. Who gave up before that has waited as long as they
// did, and who was stopped hasn't.
func (b *buyer) pressed(ctx context.Context) {
	if b.came.IsZero() || ctx.Err() != nil {
		return
	}
	b.rush.m.answered.since(b.came)
	b.came = time.Time{}
}

func (b *buyer) release(ctx context.Context, hold *onsale.Hold) {
	b.inDoubt = false
	err := b.insist(ctx, request{method: "DELETE", path: "/v1/holds/" + string(hold.ID), token: b.token}, nil, nil)
	switch {
	case err == nil:
		b.rush.ledger.freed(hold.ID, time.Now())
		b.rush.m.released.Add(1)
	case onsale.CodeOf(err) == onsale.CodeHoldEnded: // it was too late already
		b.checkEnded(hold, "given back")
		b.rush.m.expired.Add(1)
	default:
		b.giveUp(ctx, "releasing", err)
	}
}

// giveUp counts why a buyer leaves without what they came for. It returns false.
func (b *buyer) giveUp(ctx context.Context, doing string, err error) bool {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false // the rush is being stopped: nobody's fault
	}
	var refusal *onsale.Error
	switch {
	case !errors.As(err, &refusal):
		b.rush.trouble(fmt.Errorf("%s: %w", doing, err))
	case isBusy(refusal), refusal.Code == onsale.CodeBuyerLimit, refusal.Code == onsale.CodeNotOnSale:
		b.rush.m.refused.Add(1)
	default: // a refusal that nothing this buyer did deserves
		b.rush.m.errors.Add(1)
		b.rush.trouble(fmt.Errorf("%s: %w", doing, err))
	}
	return false
}

// insist sends a request when it is due, and again until it is answered definitely: after a 503
// or 429 when its Retry-After is over, without an answer after a pause that doubles.
// It is timed, if timed isn't nil, once: from when it was due first until that answer. Time-outs and
// what the server asked to wait are in it, since its buyer waits for them all the same: a server
// that sends people away quickly isn't quick. If no such answer ever comes, all that was waited
// for it is on record.
func (b *buyer) insist(ctx context.Context, r request, timed *latency, into any) error {
	if !waitUntil(ctx, b.due) {
		return ctx.Err()
	}
	for n, due := 0, b.due; ; n++ {
		if timed != nil {
			b.rush.m.late.since(due)
		}
		err := b.rush.api.send(r, into)
		var refusal *onsale.Error
		answered := err == nil || errors.As(err, &refusal)
		b.inDoubt = b.inDoubt || !isDefinite(err)
		if err == nil || (answered && !isBusy(refusal)) {
			if timed != nil {
				timed.since(b.due)
			}
			return err
		}
		if n == maxRepeats {
			b.unanswered(timed)
			return err
		}
		again := time.Now().Add(b.jitter(firstRepeat << n))
		if answered {
			after := min(refusal.RetryAfter, longestBusyWait)
			again = time.Now().Add(after + b.jitter(after/2)) // never before the advised time
		}
		if !waitUntil(ctx, again) {
			return errors.Join(err, ctx.Err())
		}
		due = again
	}
}

// isDefinite reports whether an answer says what was done: it was, or a refusal that
// something else than a fault is the reason of.
func isDefinite(err error) bool {
	var refusal *onsale.Error
	switch {
	case err == nil:
		return true
	case !errors.As(err, &refusal):
		return false
	}
	switch refusal.Code {
	case onsale.CodeOverloaded, onsale.CodeRecovering, onsale.CodeUnavailable, onsale.CodeInternal:
		return false
	}
	return true
}

// timing is where a buyer's latency is recorded: a bot's apart from an honest buyer's.
func (b *buyer) timing(honest, bot *latency) *latency {
	if b.isBot {
		return bot
	}
	return honest
}

// unanswered records a request that was given up: nobody ever said more than "later", if anything.
func (b *buyer) unanswered(timed *latency) {
	b.rush.m.silent.Add(1)
	if timed != nil {
		timed.since(b.due)
	}
}
