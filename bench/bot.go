package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"onsale"
)

// A bot wants all it can get and has no patience. It asks under many keys at once, together
// for more than one buyer may have; some give back what they have to hold it anew, so that it never runs out, and
// when they are refused, ask again at once, whatever they were told to wait. What holds it
// back are the event's two limits, which a rush with bots puts to the test: how much
// one buyer may have, and how many holds they may make in a minute.
//
// What its requests take is recorded apart from what honest buyers' do.

// defaultBots is how much of the crowd of the command are bots, in percent.
const defaultBots = 5

const (
	// botHands is how many requests a bot has under way at once: so many that their
	// parts of the per-buyer limit are more than all of it.
	botHands = 7
	// botParts is in how many parts it asks for the limit.
	botParts = 6
	// botRounds is how often one that doesn't stop holds anew: with a limit of six or more, more holds than the
	// usual 20 a minute. These are one in five; the others hold once, with as many hands. So the bots are a
	// twentieth of the crowd, and about a third of what it asks.
	botRounds  = 5
	relentless = 0.2
	// botNags is how often it asks on after it was told that this is too often.
	botNags = 3
	// botBlink is the pause before it looks again at a house that shows nothing.
	botBlink = 50 * time.Millisecond
	// holdsMinute is over what an event's HoldsPerMinute counts.
	holdsMinute = time.Minute
)

// automate makes a bot of a buyer. It has their taste and their card.
func (t *temper) automate() {
	t.isBot, t.think, t.ending, t.rounds = true, 0, paysForIt, 1
	if t.rng.Float64() < relentless {
		t.rounds = botRounds
	}
	t.doubleClicks, t.reopensFeed, t.losesFeed, t.losesRequests, t.triesAgain = false, false, false, false, false
}

// raid is what a bot does once it sees the house. It ends with a purchase, if anything was had.
func (b *buyer) raid(ctx context.Context) {
	b.rush.m.bots.Add(1)
	b.quantity = (b.rush.layout.Event.MaxPerBuyer + botParts - 1) / botParts
	var spoils []*onsale.Hold
	began, granted := time.Now(), 0
	b.rush.m.late.since(b.due)
	for round := range b.rounds {
		if round > 0 {
			b.giveBack(ctx, spoils)
			spoils = nil
			b.due = time.Now()
		}
		got, throttled := b.grab(ctx, botHands)
		granted += len(got)
		spoils = append(spoils, got...)
		b.checkLimits(spoils, granted, began)
		if throttled {
			b.due = time.Now()
			more, _ := b.grab(ctx, botNags)
			spoils = append(spoils, more...)
			b.checkLimits(spoils, granted+len(more), began)
			break
		}
		if len(got) == 0 && !waitUntil(ctx, time.Now().Add(botBlink)) {
			break
		}
	}
	if len(spoils) > 0 {
		b.due = time.Now()
		b.buy(ctx, spoils[0])
		b.giveBack(ctx, spoils[1:])
	}
}

// grab asks for what the feed shows with so many requests at once, each of its own key and due when the
// bot is. throttled is true if one was refused because there were too many.
func (b *buyer) grab(ctx context.Context, hands int) (got []*onsale.Hold, throttled bool) {
	type hand struct {
		lines  []onsale.Line
		answer clicked
	}
	var all []*hand
	asked, due := time.Now(), b.due
	var asking sync.WaitGroup
	for range hands {
		lines := choose(b.temper, b.rush.layout, b.sees())
		if lines == nil || ctx.Err() != nil {
			break
		}
		h, r := &hand{lines: lines}, b.holdRequest(lines)
		all = append(all, h)
		asking.Go(func() {
			h.answer.hold = new(onsale.Hold)
			h.answer.err = b.rush.api.send(r, h.answer.hold)
			if code := onsale.CodeOf(h.answer.err); code == onsale.CodeTooOften || !isPutOff(h.answer.err) {
				b.rush.m.botHold.since(due) // of no answer too: it is what was waited for one
			}
		})
	}
	asking.Wait()
	for _, h := range all {
		b.inDoubt = !isDefinite(h.answer.err)
		b.note(h.lines, asked, h.answer.hold, h.answer.err)
		switch onsale.CodeOf(h.answer.err) {
		case "":
			b.rush.m.botHeld.Add(1)
			got = append(got, h.answer.hold)
		case onsale.CodeBuyerLimit:
			b.rush.m.botLimited.Add(1)
		case onsale.CodeTooOften:
			b.rush.m.botThrottled.Add(1)
			throttled = true
		case onsale.CodeSoldOut, onsale.CodeSeatTaken, onsale.CodeNotTogether:
			b.rush.m.botRefused.Add(1)
			b.refuse(h.answer.err, asked)
		}
	}
	return got, throttled
}

// giveBack releases holds, one after the other.
func (b *buyer) giveBack(ctx context.Context, spoils []*onsale.Hold) {
	for _, hold := range spoils {
		b.due = time.Now()
		b.release(ctx, hold)
	}
}

// checkLimits sees that one buyer was not granted more than the event allows: together, of
// holds none of which has ended, and in the first minute since they began. A stock that was laid anew has
// forgotten who asked how often, and another machine's clock is not this one's.
func (b *buyer) checkLimits(spoils []*onsale.Hold, granted int, began time.Time) {
	if b.rush.cfg.Forgetful || b.rush.cfg.Remote || len(spoils) == 0 {
		return
	}
	event, now, sum := b.rush.layout.Event, time.Now(), 0
	var history []string
	for _, hold := range spoils {
		if hold.ExpiresAt.After(now.Add(expirySlack)) {
			sum += onsale.Quantity(hold.Lines)
			history = append(history, string(hold.ID)+" is held until "+stamp(hold.ExpiresAt))
		}
	}
	last := spoils[len(spoils)-1]
	if sum > event.MaxPerBuyer {
		b.rush.ledger.accuse(onsale.Violation{Invariant: onsale.InvariantHolds, Subject: string(last.ID), History: history,
			Detail: fmt.Sprintf("is one of a buyer who holds %d admissions, and may have %d", sum, event.MaxPerBuyer)})
	}
	if granted > event.HoldsPerMinute && now.Sub(began) < holdsMinute {
		b.rush.ledger.violate(onsale.InvariantHolds, string(last.ID), "is its buyer's hold no. %d in %v, and they may make %d a minute",
			granted, now.Sub(began).Round(time.Millisecond), event.HoldsPerMinute)
	}
}
