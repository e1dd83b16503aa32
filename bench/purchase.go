package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"onsale"
)

// The steps of a purchase: hold, pay, wait, fetch. What the server answers is checked
// here as it comes; what it did is checked in truth.go when everything has settled.

// hold asks for the lines under a fresh key; a buyer who double-clicks asks twice at once.
func (b *buyer) hold(ctx context.Context, lines []onsale.Line) (*onsale.Hold, error) {
	r := b.holdRequest(lines)
	if !waitUntil(ctx, b.due) {
		return nil, ctx.Err()
	}
	asked := time.Now()
	b.inDoubt = false
	if b.losesRequests && b.keys == 1 {
		b.loseRequest(r)
	}
	var again chan clicked
	if b.doubleClicks {
		again = b.clickAgain(ctx, r)
	}
	hold := new(onsale.Hold)
	err := b.insist(ctx, r, &b.rush.m.hold, hold)
	if again != nil {
		hold, err = b.compareClicks(ctx, r, clicked{hold, err}, <-again)
	}
	b.note(lines, asked, hold, err)
	if err != nil {
		return nil, err
	}
	if b.doubleClicks {
		b.rush.ledger.repeatLater(repeat{request: r, hold: hold.ID})
	}
	return hold, nil
}

// holdRequest asks for the lines under a key of its own.
func (b *buyer) holdRequest(lines []onsale.Line) request {
	b.keys++
	body, err := onsale.AppendLines([]byte(`{"lines":`), lines)
	if err != nil {
		panic(fmt.Sprintf("encode lines: %v", err)) // all of their fields can be encoded
	}
	return request{
		method: "POST", path: "/v1/events/" + string(b.rush.layout.Event.ID) + "/holds",
		token: b.token, key: "hold-" + strconv.Itoa(b.keys),
		body: json.RawMessage(append(body, '}')),
	}
}

// note puts the answer to a request for a hold into the ledger.
func (b *buyer) note(lines []onsale.Line, asked time.Time, hold *onsale.Hold, err error) {
	switch {
	case err == nil:
		b.rush.m.held.Add(1)
		b.checkHold(hold, lines)
		b.rush.ledger.granted(hold, asked)
		return
	case b.inDoubt:
		b.rush.ledger.maybeGranted(lines, asked)
	}
	if onsale.CodeOf(err) == onsale.CodeSoldOut && len(lines) == 1 {
		b.rush.ledger.refused(refusedHold{section: lines[0].Section, quantity: lines[0].Quantity, asked: asked, answered: time.Now()})
	}
}

// clicked is the answer to one of two clicks.
type clicked struct {
	hold *onsale.Hold
	err  error
}

// clickAgain sends the same request at the same time as its caller is about to, which is when it is due.
// The caller must receive from the channel, which is how the goroutine is waited for. If the second click is
// put off, the buyer waits for the answer to the first, which is timed.
func (b *buyer) clickAgain(ctx context.Context, r request) chan clicked {
	answer, due := make(chan clicked, 1), b.due
	go func() {
		hold := new(onsale.Hold)
		if !waitUntil(ctx, due) {
			answer <- clicked{hold, ctx.Err()}
			return
		}
		err := b.rush.api.send(r, hold)
		if !isPutOff(err) {
			b.rush.m.hold.since(due) // of no answer too: it is what was waited for one
		}
		b.rush.m.doubled.Add(1)
		answer <- clicked{hold, err}
	}()
	return answer
}

// compareClicks holds two answers to one key against each other and returns the one
// that counts. One may have been refused before there was room for the other: then the
// refused one, asked again, must find the other's hold.
func (b *buyer) compareClicks(ctx context.Context, r request, first, second clicked) (*onsale.Hold, error) {
	if first.err != nil && second.err != nil {
		b.inDoubt = b.inDoubt || !isDefinite(second.err)
		return nil, first.err
	}
	granted, other := first, second
	if first.err != nil {
		granted, other = second, first
	}
	if other.err != nil {
		other.hold = new(onsale.Hold)
		other.err = b.insist(ctx, r, nil, other.hold)
	}
	var refusal *onsale.Error
	switch {
	case other.err == nil && b.rush.cfg.Forgetful && differInEpoch(granted.hold.ID, other.hold.ID):
		// One of them came before Redis lost its stock. Which, only the audit can say.
	case other.err == nil && other.hold.ID != granted.hold.ID:
		b.rush.ledger.violate(onsale.InvariantKeys, string(granted.hold.ID), "the key that made it also made %s", other.hold.ID)
	case errors.As(other.err, &refusal) && !isBusy(refusal) && refusal.Code != onsale.CodeHoldEnded && !b.rush.cfg.Forgetful:
		b.rush.ledger.violate(onsale.InvariantKeys, string(granted.hold.ID), "its key, repeated, is answered %s", refusal.Code)
	}
	return granted.hold, nil
}

// checkHold holds what was granted against what was asked for.
func (b *buyer) checkHold(hold *onsale.Hold, asked []onsale.Line) {
	lines := b.withBest(asked, hold.Lines)
	amount, err := b.rush.layout.CheckLines(lines)
	granted := slices.EqualFunc(hold.Lines, lines, func(x, y onsale.Line) bool {
		return x.Section == y.Section && x.Quantity == y.Quantity && slices.Equal(x.Seats, y.Seats)
	})
	if err != nil || !granted || hold.Amount != amount {
		b.rush.ledger.violate(onsale.InvariantHolds, string(hold.ID),
			"asked for %+v at %d, granted %+v at %d", lines, amount, hold.Lines, hold.Amount)
	}
}

// withBest is what was asked for, with the seats that were granted where the best available
// were asked for: as many of that section, which touch. Others are left away.
func (b *buyer) withBest(asked, granted []onsale.Line) []onsale.Line {
	lines := slices.Clone(asked)
	for i := range lines {
		line := &lines[i]
		section := b.rush.layout.Section(line.Section)
		best := section != nil && section.Kind == onsale.Reserved && line.Seats == nil
		if best && i < len(granted) && len(granted[i].Seats) == line.Quantity && touch(section, granted[i].Seats) {
			line.Seats = granted[i].Seats
		}
	}
	return lines
}

// buy checks out, waits for the order's end, and fetches its tickets.
func (b *buyer) buy(ctx context.Context, hold *onsale.Hold) {
	order := new(onsale.Order)
	b.keys++
	r := request{
		method: "POST", path: "/v1/holds/" + string(hold.ID) + "/checkout",
		token: b.token, key: "pay-" + strconv.Itoa(b.keys),
		body: struct {
			PaymentToken string `json:"payment_token"`
			Generation   uint64 `json:"generation"`
		}{b.payment, hold.Generation},
	}
	b.rush.m.paying.Add(1)
	asked := time.Now()
	b.inDoubt = false
	if b.losesRequests {
		b.loseRequest(r)
	}
	b.rush.ledger.pinned(hold.ID)
	err := b.insist(ctx, r, b.timing(&b.rush.m.checkout, &b.rush.m.botCheckout), order)
	switch {
	case onsale.CodeOf(err) == onsale.CodeHoldEnded:
		b.checkEnded(hold, "paid for")
		b.rush.m.expired.Add(1)
		return
	case err != nil:
		b.giveUp(ctx, "checking out", err)
		b.rush.ledger.promised(promise{order: hold.ID.Order(), token: b.token, lines: hold.Lines, asked: asked, paidLate: isLate(b.payment)})
		return
	}
	accepted := time.Now()
	b.rush.m.accepted.Add(1)
	if order.ID != hold.ID.Order() || order.Amount != hold.Amount {
		b.rush.ledger.violate(onsale.InvariantKeys, string(order.ID), "is the order of hold %s (%d), at %d", hold.ID, hold.Amount, order.Amount)
	}
	if b.reopensFeed {
		b.feed.reopen()
	}
	told := b.awaitEnd(ctx, order.ID, accepted)
	b.rush.ledger.promised(promise{order: order.ID, token: b.token, lines: hold.Lines, asked: asked, paidLate: isLate(b.payment), accepted: true, told: told})
	b.rush.m.ended(told, onsale.Quantity(hold.Lines))
	if told == onsale.OrderTicketed && b.readsTickets {
		b.fetchTickets(ctx, order.ID, hold.Lines)
	}
	if told == onsale.OrderDeclined && !isLate(b.payment) {
		b.seeFreed(ctx, hold)
	}
	if told == onsale.OrderDeclined && b.triesAgain {
		b.buyAgain(ctx, hold.Lines)
	}
	if told == onsale.OrderTicketed && b.paidBack != nil {
		b.askRefund(ctx, order.ID, hold.Lines)
	}
}

// awaitEnd waits for the feed to tell the end of an order. It asks for the order when the
// feed was cut, and now and then in case that the news was lost in other ways. It returns
// "" if the end didn't come in time, which is on record as having taken all of it.
func (b *buyer) awaitEnd(ctx context.Context, order onsale.OrderID, accepted time.Time) onsale.OrderState {
	ctx, cancel := context.WithDeadline(ctx, accepted.Add(b.rush.cfg.ResultTimeout))
	defer cancel()
	poll := b.jitter(firstPoll)
	timer := time.NewTimer(poll)
	defer timer.Stop()
	for {
		if end, ok := b.feed.end(order); ok {
			b.rush.m.settle.record(end.at.Sub(accepted))
			return end.state
		}
		select {
		case <-b.feed.news:
			if _, ok := b.feed.end(order); ok {
				continue
			}
			timer.Reset(b.jitter(afterCut)) // the news may fall between this asking and the feed's knowing who listens
		case <-timer.C:
			poll = min(poll+poll/2, longestPoll)
			timer.Reset(poll)
		case <-ctx.Done():
			b.rush.m.overdue.Add(1)
			b.rush.m.settle.record(b.rush.cfg.ResultTimeout)
			return ""
		}
		if state, ok := b.askEnd(ctx, order); ok {
			b.rush.m.polled.Add(1)
			b.rush.m.settle.since(accepted)
			return state
		}
	}
}

func (b *buyer) askEnd(ctx context.Context, id onsale.OrderID) (onsale.OrderState, bool) {
	b.due = time.Now()
	order := new(onsale.Order)
	if err := b.insist(ctx, request{method: "GET", path: "/v1/orders/" + string(id), token: b.token}, nil, order); err != nil {
		return "", b.giveUp(ctx, "asking for the order", err)
	}
	return order.State, order.State.Final()
}

func (b *buyer) fetchTickets(ctx context.Context, order onsale.OrderID, lines []onsale.Line) {
	b.think()
	var answer struct {
		Tickets []onsale.Ticket `json:"tickets"`
	}
	err := b.insist(ctx, request{method: "GET", path: "/v1/orders/" + string(order) + "/tickets", token: b.token}, nil, &answer)
	if err != nil {
		b.giveUp(ctx, fmt.Sprintf("fetching the tickets of %s", order), err)
		return
	}
	b.rush.ledger.ticketed(order, onsale.Quantity(lines), answer.Tickets)
}
