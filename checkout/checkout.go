// Package checkout turns a hold into an accepted purchase, and an order's end into
// its hold's end.
//
// The promise: whoever is told 202 has an order that will end. It is kept by the
// order of three steps: pin (the hold can't expire any more), produce (every
// in-sync replica of Kafka has the purchase), answer. What a crash leaves:
//
//	before the pin       a hold, which expires by itself
//	pin, no produce      a pinned hold without an order: Recovery frees it, unless
//	                     it is pinned again meanwhile
//	produce, no answer   an order; the buyer who asks again gets the same one,
//	                     since its id is the hold's
//	answer               an order
//
// A produce that is not acknowledged is in doubt, never guessed: the answer is
// 503, and asking again is safe.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/crashpoint"
	"onsale/internal/kafka"
)

// MaxTokenLength is the longest payment token, in bytes.
const MaxTokenLength = 255

// retryAfter is what a buyer is advised when a purchase can't be accepted now.
const retryAfter = 2 * time.Second

// Till accepts purchases. Safe for concurrent use.
type Till struct {
	desk     *holds.Desk
	producer *kafka.Producer
	backlog  *Backlog // nil: without bound
}

// NewTill returns a till that pins at the desk and produces with the producer.
func NewTill(desk *holds.Desk, producer *kafka.Producer) *Till {
	return &Till{desk: desk, producer: producer}
}

// BoundBy has the till refuse what is not pinned yet while the backlog is full. To be
// called before the first purchase.
func (t *Till) BoundBy(b *Backlog) *Till {
	t.backlog = b
	return t
}

// Request asks to buy what is held.
type Request struct {
	Hold         onsale.HoldID
	Buyer        onsale.BuyerID
	Generation   uint64 // the hold's as the buyer knows it; 0: any
	PaymentToken string // the provider's, 1 to MaxTokenLength bytes
}

// Accept pins the hold, and returns its order once every in-sync replica of Kafka
// has the purchase. Asking again gives the same order.
//
// Errors: those of Desk.Pin; bad_request for the token; overloaded when the backlog is
// full and the hold is not pinned yet: it stays as it was; overloaded or unavailable when
// Kafka doesn't acknowledge: the order may or may not be, ask again.
func (t *Till) Accept(ctx context.Context, l *onsale.Layout, r Request) (onsale.Order, error) {
	if !validToken(r.PaymentToken) {
		return onsale.Order{}, onsale.Refuse(onsale.CodeBadRequest, fmt.Sprintf("payment_token must have 1 to %d printable ASCII characters", MaxTokenLength))
	}
	if t.backlog != nil && t.backlog.Full() {
		hold, err := t.desk.Look(ctx, l, r.Hold, r.Buyer)
		if err == nil {
			err = t.backlog.admit(hold.State)
		}
		if err != nil {
			return onsale.Order{}, err
		}
	}
	hold, err := t.desk.Pin(ctx, l, r.Hold, r.Buyer, r.Generation)
	if err != nil {
		return onsale.Order{}, err
	}
	order, purchase := t.pinned(hold, r)
	if purchase != nil {
		err = t.accepted(l, order, t.producer.Produce(ctx, *purchase))
	}
	if err != nil {
		return onsale.Order{}, err
	}
	return order, nil
}

// AcceptThen is Accept for who can't wait: then is told once what came of it, by the caller or by
// a goroutine that it must not hold up.
func (t *Till) AcceptThen(l *onsale.Layout, r Request, then func(onsale.Order, error)) {
	if t.backlog != nil && t.backlog.Full() || !validToken(r.PaymentToken) { // no rush gets through here
		go func() { then(t.Accept(context.Background(), l, r)) }() // ends with the times of Desk and Producer
		return
	}
	t.desk.PinThen(l, r.Hold, r.Buyer, r.Generation, func(hold onsale.Hold, err error) {
		if err != nil {
			then(onsale.Order{}, err)
			return
		}
		order, purchase := t.pinned(hold, r)
		if purchase == nil {
			then(order, nil)
			return
		}
		t.producer.ProduceThen(*purchase, func(err error) {
			if err = t.accepted(l, order, err); err != nil {
				order = onsale.Order{}
			}
			then(order, err)
		})
	})
}

// pinned is the order of a hold that is pinned, and its purchase, unless Kafka has that already.
func (t *Till) pinned(hold onsale.Hold, r Request) (onsale.Order, *kafka.Message) {
	crashpoint.Reach(crashpoint.AfterPin)
	// To the millisecond, as Redis notes it: a repeat is told the same.
	now := time.Now().UTC().Truncate(time.Millisecond)
	order := onsale.Order{
		ID: hold.ID.Order(), Event: hold.Event, Hold: hold.ID, Buyer: r.Buyer, State: onsale.OrderAccepted,
		Lines: hold.Lines, Amount: hold.Amount, Currency: hold.Currency, AcceptedAt: now, UpdatedAt: now,
	}
	if !hold.AcceptedAt.IsZero() {
		order.AcceptedAt, order.UpdatedAt = hold.AcceptedAt, hold.AcceptedAt
		return order, nil
	}
	_, epoch, _ := hold.ID.Parse() // Pin has found it
	return order, &kafka.Message{Topic: onsale.TopicPurchases, Key: string(hold.Event), Value: onsale.Purchase{
		Order: order.ID, Hold: hold.ID, Event: hold.Event, Epoch: epoch, Generation: hold.Generation, Buyer: r.Buyer,
		Lines: hold.Lines, Amount: hold.Amount, Currency: hold.Currency, PaymentToken: r.PaymentToken, At: now,
	}}
}

// accepted notes that Kafka has an order's purchase, or says why it is not known to.
func (t *Till) accepted(l *onsale.Layout, order onsale.Order, produced error) error {
	switch {
	case errors.Is(produced, kafka.ErrFull):
		return onsale.Busy(onsale.CodeOverloaded, "too many purchases are on their way; your hold is safe, ask again", retryAfter, produced)
	case produced != nil:
		return onsale.Busy(onsale.CodeUnavailable, "the purchase could not be confirmed; your hold is safe, ask again", retryAfter, produced)
	}
	crashpoint.Reach(crashpoint.AfterProduce)
	t.desk.Accept(l, order.Hold, order.Buyer, order.AcceptedAt)
	return nil
}

// validToken refuses what a later stage could not store or send on: once a buyer
// is told 202 there is nobody left to refuse it to.
func validToken(token string) bool {
	for _, c := range []byte(token) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return token != "" && len(token) <= MaxTokenLength
}

// ReportResult hands a definite answer of the payment provider, that came by
// webhook, to settlement. It returns nil when Kafka has it.
func (t *Till) ReportResult(ctx context.Context, result onsale.ChargeResult) error {
	if err := t.producer.Produce(ctx, kafka.Message{Topic: onsale.TopicResults, Key: string(result.Order), Value: result}); err != nil {
		return onsale.Busy(onsale.CodeUnavailable, "the notice could not be kept; send it again", retryAfter, err)
	}
	return nil
}
