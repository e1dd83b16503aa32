package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"onsale"
)

// The aftermath is what comes after a sale: an operator pays some orders back, whole or in
// part, some cards are captured after they were declined, and some are never to be charged.
// A rush has one if it is asked to; its target's provider must be the simulator. What is
// promised of it, and checked here besides what the audit sees:
//
//   - a refund that was asked for is on the order's list once, and comes to its end: made
//     or refused (invariant 3); asked for again under its key it is the same one (5);
//   - a whole refund that is made ends its order, refunded (4);
//   - who paid late has tickets, or all their money back (3).

// The shares of the aftermath: of the buyers, and what of a card that troubles refunds.
const (
	paysLate        = 0.04
	paysInvalid     = 0.02  // the provider refuses it for good, so that it is called off
	paysBackBadly   = 0.005 // each of the four ways
	isPaidBack      = 0.12  // of the ticketed orders
	triesAgain      = 0.50  // of those who are declined: for the same admissions, with another card
	asksBackTwice   = 0.25  // of the refunds
	smallChange     = 100   // the most that is paid back as money alone, in minor units
	latePoll        = 500 * time.Millisecond
	latePrefix      = "late_"
	refundingPrefix = "refund_"
)

// backCards are the cards that only an aftermath has.
func backCards(late time.Duration) []card {
	return []card{
		{latePrefix + strconv.FormatInt(late.Milliseconds(), 10), paysLate}, {"invalid", paysInvalid},
		{refundingPrefix + "timeout", paysBackBadly}, {refundingPrefix + "error", paysBackBadly},
		{refundingPrefix + "broken", paysBackBadly}, {refundingPrefix + "refused", paysBackBadly},
	}
}

// aftermath is what is remembered of it until it is checked.
type aftermath struct {
	mu     sync.Mutex
	asked  []refundAsked                // under mu
	orders map[onsale.OrderID]struct{}  // under mu: every order that a refund was asked for, answered or not
	ends   map[onsale.RefundState]int64 // of judge's goroutines, under mu
	late   map[string]int64             // under mu: late payments, by what came of them
}

// refundAsked is a refund that the operator was told of.
type refundAsked struct {
	request request
	entry   onsale.RefundEntry
	whole   bool
}

func newAftermath() *aftermath {
	return &aftermath{orders: map[onsale.OrderID]struct{}{}, ends: map[onsale.RefundState]int64{}, late: map[string]int64{}}
}

// paidBack is what the operator pays back of an order: some money alone, one admission
// of several, or, if it is neither, the whole.
type paidBack struct {
	money  int64   // in minor units; 0 if it isn't money alone
	ticket float64 // which of the admissions, as a part of them all; negative if it isn't one
	twice  bool    // it is asked for twice, under one key
}

func drawPaidBack(rng *rand.Rand) *paidBack {
	p := &paidBack{ticket: -1}
	switch rng.IntN(3) {
	case 0:
		p.money = 1 + rng.Int64N(smallChange)
	case 1:
		p.ticket = rng.Float64()
	}
	p.twice = rng.Float64() < asksBackTwice
	return p
}

// whole reports whether all of an order is paid back, however many its admissions are.
func (p *paidBack) whole() bool { return p.money == 0 && p.ticket < 0 }

// askRefund has the operator pay back an order that was ticketed.
func (b *buyer) askRefund(ctx context.Context, order onsale.OrderID, lines []onsale.Line) {
	ask := onsale.RefundRequest{Reason: "bench"}
	n := onsale.Quantity(lines)
	switch {
	case b.paidBack.money > 0:
		ask.Amount = &b.paidBack.money
	case b.paidBack.ticket >= 0:
		ask.Tickets = []int{1 + int(b.paidBack.ticket*float64(n))}
	}
	r := request{method: "POST", path: refundsOf(order), token: b.rush.cfg.AdminToken, key: "refund-" + string(order), body: ask}
	a := b.rush.aftermath
	a.mu.Lock()
	a.orders[order] = struct{}{}
	a.mu.Unlock()
	times := 1
	if b.paidBack.twice {
		times = 2
	}
	for range times {
		b.think()
		asked := refundAsked{request: r, whole: ask.Amount == nil && (ask.Tickets == nil || n == 1)}
		if err := b.insist(ctx, r, nil, &asked.entry); err != nil {
			b.giveUp(ctx, "asking for a refund", err)
			return
		}
		a.mu.Lock()
		a.asked = append(a.asked, asked)
		a.mu.Unlock()
	}
}

// buyAgain is what a buyer does whose card was declined: they hold the same again, if it
// is there still, and pay with another card. If the first is captured after all, nothing
// of what it was for is free.
func (b *buyer) buyAgain(ctx context.Context, lines []onsale.Line) {
	b.triesAgain, b.payment = false, paymentPrefix+"ok"
	b.think()
	hold, err := b.hold(ctx, lines)
	switch onsale.CodeOf(err) {
	case onsale.CodeSeatTaken, onsale.CodeSoldOut:
		b.rush.m.refused.Add(1)
		return
	}
	if err != nil {
		b.giveUp(ctx, "holding again", err)
		return
	}
	b.think()
	b.buy(ctx, hold)
}

func refundsOf(order onsale.OrderID) string { return "/v1/admin/orders/" + string(order) + "/refunds" }

// refunds reads the list of an order's refunds.
func (b *buyer) refunds(ctx context.Context, order onsale.OrderID) ([]onsale.RefundEntry, error) {
	var answer struct {
		Refunds []onsale.RefundEntry `json:"refunds"`
	}
	err := b.insist(ctx, request{method: "GET", path: refundsOf(order), token: b.rush.cfg.AdminToken}, nil, &answer)
	if err != nil {
		return nil, fmt.Errorf("looking at the refunds of %s: %w", order, err)
	}
	return answer.Refunds, nil
}

// awaitLate waits until every late payment has its tickets or its money back. It is for
// when all orders have come to an end: which of them are paid late is known then.
func (r *rush) awaitLate(ctx context.Context) error {
	var late []promise
	for _, p := range r.ledger.promises {
		if p.paidLate {
			late = append(late, p)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, r.cfg.ResultTimeout)
	defer cancel()
	return r.each(ctx, len(late), func(_ context.Context, client *buyer, i int) error {
		for {
			client.due = time.Now()
			came, err := client.lateEnd(ctx, late[i])
			if err != nil {
				return err
			}
			if came != "" {
				r.aftermath.mu.Lock()
				r.aftermath.late[came]++
				r.aftermath.mu.Unlock()
				return nil
			}
			if !waitUntil(waiting, time.Now().Add(latePoll)) {
				r.ledger.violate(onsale.InvariantCharges, string(late[i].order), "was paid after it was declined, and has neither tickets nor its money back")
				return ctx.Err()
			}
		}
	})
}

// What comes of a late payment.
const (
	lateTicketed = "late_ticketed"
	latePaidBack = "late_paid_back"
	lateNever    = "late_never" // the order was rejected or called off before the provider was asked, or never made
)

// lateEnd says what came of a late payment; "" while nothing has.
func (b *buyer) lateEnd(ctx context.Context, p promise) (string, error) {
	order := new(onsale.Order)
	err := b.insist(ctx, request{method: "GET", path: "/v1/orders/" + string(p.order), token: p.token}, nil, order)
	switch {
	case onsale.CodeOf(err) == onsale.CodeUnknownOrder:
		return lateNever, nil // if it was promised, checkEnds says so
	case err != nil:
		return "", fmt.Errorf("looking at order %s: %w", p.order, err)
	}
	switch order.State {
	case onsale.OrderTicketed, onsale.OrderRefunded:
		return lateTicketed, nil
	case onsale.OrderRejected:
		return lateNever, nil
	}
	if slices.Contains([]string{onsale.DeclinedVoided, onsale.DeclinedRefused, onsale.DeclinedTimeout}, order.Reason) {
		return lateNever, nil
	}
	refunds, err := b.refunds(ctx, p.order)
	if err != nil {
		return "", err
	}
	for _, entry := range refunds {
		if entry.State == onsale.RefundStateMade && entry.Amount == order.Amount {
			return latePaidBack, nil
		}
	}
	return "", nil
}

// checkRefunds holds what the operator was told to what has become of it. Orders are those
// of the promises.
func (r *rush) checkRefunds(ctx context.Context, orders []onsale.Order) error {
	states := map[onsale.OrderID]onsale.OrderState{}
	for i := range orders {
		states[orders[i].ID] = orders[i].State
	}
	asked := r.aftermath.asked
	return r.each(ctx, len(asked), func(ctx context.Context, client *buyer, i int) error {
		told, again := asked[i].entry, new(onsale.RefundEntry)
		if err := client.insist(ctx, asked[i].request, nil, again); err != nil {
			return fmt.Errorf("repeating the request for refund %s: %w", told.ID, err)
		}
		listed, err := client.refunds(ctx, told.Order)
		if err != nil {
			return err
		}
		listed = slices.DeleteFunc(listed, func(e onsale.RefundEntry) bool { return e.ID != told.ID })
		switch {
		case again.ID != told.ID:
			r.ledger.violate(onsale.InvariantKeys, string(told.ID), "its key, repeated, made %s", again.ID)
		case len(listed) != 1:
			r.ledger.violate(onsale.InvariantCharges, string(told.ID), "is on the list of %s %d times", told.Order, len(listed))
		case listed[0].State == onsale.RefundStateDue:
			r.ledger.violate(onsale.InvariantCharges, string(told.ID), "was promised, and is due still")
		case asked[i].whole && listed[0].State == onsale.RefundStateMade && states[told.Order] != onsale.OrderRefunded:
			r.ledger.violate(onsale.InvariantOrders, string(told.Order), "was paid back whole, and is %s", states[told.Order])
		}
		if len(listed) == 1 {
			r.aftermath.mu.Lock()
			r.aftermath.ends[listed[0].State]++
			r.aftermath.mu.Unlock()
		}
		return nil
	})
}

// leaveOut takes the admissions that were refunded out of an order's lines: they may be
// someone else's by now.
func (b *buyer) leaveOut(ctx context.Context, order *onsale.Order, token string) error {
	a := b.rush.aftermath
	a.mu.Lock()
	_, asked := a.orders[order.ID]
	a.mu.Unlock()
	if !asked || order.State != onsale.OrderTicketed {
		return nil
	}
	var answer struct {
		Tickets []onsale.Ticket `json:"tickets"`
	}
	if err := b.insist(ctx, request{method: "GET", path: "/v1/orders/" + string(order.ID) + "/tickets", token: token}, nil, &answer); err != nil {
		return fmt.Errorf("looking at the tickets of %s: %w", order.ID, err)
	}
	order.Lines = nil
	for _, t := range answer.Tickets {
		if t.State == onsale.TicketVoid {
			continue
		}
		line := onsale.Line{Section: t.Section, Quantity: 1}
		if t.Seat != "" {
			line.Seats = []string{t.Seat}
		}
		order.Lines = append(order.Lines, line)
	}
	return nil
}

// figures are what a report tells of the aftermath.
func (a *aftermath) figures() map[string]Figure {
	a.mu.Lock()
	defer a.mu.Unlock()
	figures := map[string]Figure{
		"refunds_asked":   {float64(len(a.asked)), unitRefunds},
		"refunds_made":    {float64(a.ends[onsale.RefundStateMade]), unitRefunds},
		"refunds_refused": {float64(a.ends[onsale.RefundStateRefused]), unitRefunds},
	}
	for _, came := range []string{lateTicketed, latePaidBack, lateNever} {
		figures[came] = Figure{float64(a.late[came]), unitOrders}
	}
	return figures
}

const unitRefunds = "refunds"

// isLate reports whether a payment token is a card's that is captured after it was declined.
func isLate(token string) bool { return strings.HasPrefix(token, paymentPrefix+latePrefix) }
