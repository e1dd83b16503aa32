package onsale

import "time"

// OrderState is how far an order has come.
type OrderState string

// The states of an order.
const (
	OrderAccepted OrderState = "accepted" // in Kafka; the buyer has a 202
	OrderClaimed  OrderState = "claimed"  // its inventory is durably its own
	OrderPaid     OrderState = "paid"     // captured by the provider
	OrderTicketed OrderState = "ticketed" // tickets issued
	OrderRejected OrderState = "rejected" // the claim was lost; nothing was charged
	OrderDeclined OrderState = "declined" // the payment was refused; the claim is dropped
	OrderRefunded OrderState = "refunded" // paid back in full
)

// ReasonLatePayment is why an order that was declined is ticketed after all: its money
// was captured later than the provider said that it wouldn't be, and what it was for was
// still free.
const ReasonLatePayment = "late_payment"

// transitions is the one place that says how an order may move.
var transitions = map[OrderState][]OrderState{
	OrderAccepted: {OrderClaimed, OrderRejected},
	OrderClaimed:  {OrderPaid, OrderDeclined},
	OrderPaid:     {OrderTicketed, OrderRefunded},
	OrderTicketed: {OrderRefunded},
	OrderDeclined: {OrderClaimed}, // a late payment, if everything is still free
}

// PaymentDelayed says that an order waits since its payment provider fails.
const PaymentDelayed = "delayed"

// CanBecome reports whether an order may move from s to next.
func (s OrderState) CanBecome(next OrderState) bool {
	for _, to := range transitions[s] {
		if to == next {
			return true
		}
	}
	return false
}

// Final reports whether the buyer has their answer: ticketed, rejected, declined or refunded.
// What is ticketed may be refunded all the same, and what is declined be paid late.
func (s OrderState) Final() bool {
	return s == OrderTicketed || s == OrderRejected || s == OrderDeclined || s == OrderRefunded
}

// AwaitsPayment reports whether an order in this state waits for its charge.
func (s OrderState) AwaitsPayment() bool { return s == OrderAccepted || s == OrderClaimed }

// HasClaim reports whether an order in this state owns inventory in Postgres.
func (s OrderState) HasClaim() bool {
	return s == OrderClaimed || s == OrderPaid || s == OrderTicketed
}

// Order is one purchase.
type Order struct {
	ID     OrderID    `json:"id"`
	Event  EventID    `json:"event"`
	Hold   HoldID     `json:"hold"`
	Buyer  BuyerID    `json:"-"`
	State  OrderState `json:"state"`
	Reason string     `json:"reason,omitempty"` // why it was rejected, declined or refunded, or late_payment
	// Payment is PaymentDelayed while the order waits for a provider that is not asked
	// just now. It is of the moment of the answer, and stored nowhere.
	Payment    string    `json:"payment,omitempty"`
	Lines      []Line    `json:"lines"`
	Amount     int64     `json:"amount"` // minor units
	Currency   string    `json:"currency"`
	AcceptedAt time.Time `json:"accepted_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// News is what is told of an order. What was refunded of it, if not all was, is not said: who
// tells of that knows it, and whoever was told goes by it.
func (o *Order) News() OrderNews {
	return OrderNews{Order: o.ID, Hold: o.Hold, Event: o.Event, Buyer: o.Buyer, Lines: o.Lines, State: o.State, Reason: o.Reason, At: o.UpdatedAt}
}
