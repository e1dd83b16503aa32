package onsale

import "time"

// The Kafka topics, in the order a purchase passes them. Each has a dead-letter
// topic of the same name with DeadLetterSuffix.
const (
	TopicPurchases = "onsale.purchases" // key: event. checkout → persist (claim)
	TopicCharges   = "onsale.charges"   // key: order. persist → checkout/payment
	TopicResults   = "onsale.results"   // key: order. checkout/payment → persist (finalise)
	TopicOrders    = "onsale.orders"    // key: order, compacted. persist → holds, realtime
	// TopicLateNews has what Redis could not be told yet.
	TopicLateNews = "onsale.orders.late" // key: order. checkout → checkout
	// TopicProviders has no dead letters: it tells how things are, and soon tells it again.
	TopicProviders = "onsale.providers" // key: worker, compacted. checkout/payment → engine

	DeadLetterSuffix = ".dead"
)

// Purchase is an accepted checkout: once it is in Kafka the buyer is told 202.
type Purchase struct {
	Order        OrderID   `json:"order"`
	Hold         HoldID    `json:"hold"`
	Event        EventID   `json:"event"`
	Epoch        Epoch     `json:"epoch"`
	Generation   uint64    `json:"generation"`
	Buyer        BuyerID   `json:"buyer"`
	Lines        []Line    `json:"lines"`
	Amount       int64     `json:"amount"`
	Currency     string    `json:"currency"`
	PaymentToken string    `json:"payment_token"` // the provider's, never a card
	At           time.Time `json:"at"`
}

// Charge asks for the money of an order whose inventory is claimed.
type Charge struct {
	Order        OrderID   `json:"order"`
	Event        EventID   `json:"event"`
	Amount       int64     `json:"amount"`
	Currency     string    `json:"currency"`
	PaymentToken string    `json:"payment_token"`
	At           time.Time `json:"at"`
	AskedAt      time.Time `json:"asked_at,omitzero"` // when the provider was first asked; zero: not that anybody knows
}

// ChargeOutcome is what became of a charge for certain.
type ChargeOutcome string

// The outcomes. There is none for "don't know": that is asked again, never told.
const (
	ChargeCaptured ChargeOutcome = "captured"
	ChargeDeclined ChargeOutcome = "declined"
	// ChargeAuthorised is money set aside, to be captured or voided. It is no end, so
	// settlement is never told it.
	ChargeAuthorised ChargeOutcome = "authorised"
)

// Why a charge is declined that no bank declined.
const (
	DeclinedVoided  = "voided"           // called off before money was taken
	DeclinedRefused = "provider_refused" // the provider can never make this charge
	DeclinedTimeout = "payment_timeout"  // no definite answer in time, so it was called off
)

// ChargeResult is the provider's definite answer for an order.
type ChargeResult struct {
	Order     OrderID       `json:"order"`
	Event     EventID       `json:"event"`
	Outcome   ChargeOutcome `json:"outcome"`
	Reference string        `json:"reference,omitempty"` // the provider's id of the charge
	Amount    int64         `json:"amount"`
	Currency  string        `json:"currency"`
	Reason    string        `json:"reason,omitempty"` // why it was declined
	At        time.Time     `json:"at"`
}

// OrderNews says that an order has a new, final or intermediate, state; or, ticketed
// as before, that some of it was refunded.
type OrderNews struct {
	Order  OrderID    `json:"order"`
	Hold   HoldID     `json:"hold"`
	Event  EventID    `json:"event"`
	Buyer  BuyerID    `json:"buyer"`
	Lines  []Line     `json:"lines"`
	Left   []Line     `json:"left,omitempty"` // what is still the order's, once some of it, not all, was refunded
	State  OrderState `json:"state"`
	Reason string     `json:"reason,omitempty"`
	At     time.Time  `json:"at"`
}

// Owned is what the order of the news has: its lines, less what was refunded.
func (n *OrderNews) Owned() []Line {
	if len(n.Left) > 0 {
		return n.Left
	}
	return n.Lines
}

// ProviderNews says whether a charge worker has stopped asking its payment provider
// for money, so that orders wait. It is told again and again while that is so: who
// doesn't hear it again in time takes it as over.
type ProviderNews struct {
	Worker       string `json:"worker"`         // opaque; a new one each time a worker starts
	Provider     string `json:"provider"`       // its name, as simulator
	DelayedForMs int64  `json:"delayed_for_ms"` // from when it is heard; 0: not, or no longer
}
