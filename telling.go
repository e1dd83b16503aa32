package onsale

import (
	"strings"
	"time"
)

// Besides the feed, an order's end is told by e-mail, and to webhooks that an operator
// names. What is to be told to one receiver is a delivery; its receiver's lane is what
// it waits in.

// Lane is who is told: LaneEmail for the buyer, or a webhook's id.
type Lane string

// LaneEmail is the lane of all e-mail.
const LaneEmail Lane = "email"

// Channel is how a lane's receiver is reached.
type Channel string

// The channels.
const (
	ChannelEmail   Channel = "email"
	ChannelWebhook Channel = "webhook"
)

// Channel returns how the lane's receiver is reached.
func (l Lane) Channel() Channel {
	if l == LaneEmail {
		return ChannelEmail
	}
	return ChannelWebhook
}

// newsTypePrefix is before an order's state in the name of a type of news.
const newsTypePrefix = "order."

// NewsTypes are what can be told of an order, as "order.ticketed": that it has ended,
// one way or another.
func NewsTypes() []string {
	return []string{OrderTicketed.NewsType(), OrderDeclined.NewsType(), OrderRejected.NewsType(), OrderRefunded.NewsType()}
}

// NewsType is the name of the news that an order has come to this state.
func (s OrderState) NewsType() string { return newsTypePrefix + string(s) }

// DeliveryID names a delivery, "msg_…". It is a function of the order, the state and the
// lane, so that the receiver can tell a repeat from another news.
type DeliveryID string

const deliveryPrefix = "msg_"

// Valid reports whether the id has a delivery's form: the prefix and 32 hexadecimal digits.
func (id DeliveryID) Valid() bool {
	text, ok := strings.CutPrefix(string(id), deliveryPrefix)
	return ok && len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

// DeliveryState is what a delivery has come to: queued → sent or dead; an operator may
// queue one again.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryQueued DeliveryState = "queued" // it is, or will be, tried
	DeliverySent   DeliveryState = "sent"   // its receiver has taken it
	DeliveryDead   DeliveryState = "dead"   // given up
)

// Valid reports whether it is one of the states.
func (s DeliveryState) Valid() bool {
	return s == DeliveryQueued || s == DeliverySent || s == DeliveryDead
}

// Delivery is one order's news for one receiver.
type Delivery struct {
	ID       DeliveryID    `json:"id"`
	Lane     Lane          `json:"lane"`
	State    DeliveryState `json:"state"`
	Attempts int           `json:"attempts"`           // begun so far
	Error    string        `json:"error,omitempty"`    // of the last attempt; says nothing of the buyer
	QueuedAt time.Time     `json:"queued_at"`          // or queued again
	DueAt    time.Time     `json:"due_at"`             // when it is tried next, if it is queued
	EndedAt  *time.Time    `json:"ended_at,omitempty"` // when it was sent or given up

	Order    OrderID    `json:"order"`
	Event    EventID    `json:"event"`
	Buyer    BuyerID    `json:"buyer"`
	Told     OrderState `json:"told"` // what the order came to
	Reason   string     `json:"reason,omitempty"`
	Lines    []Line     `json:"lines"`
	Amount   int64      `json:"amount"` // minor units
	Currency string     `json:"currency"`
	At       time.Time  `json:"at"` // when it came to it

	Address string `json:"-"` // of an e-mail that is to be sent now; else ""
}

// DeliveryOutcome is what came of a delivery that was taken to be sent.
type DeliveryOutcome struct {
	ID      DeliveryID
	Attempt int           // the delivery's Attempts as it was taken: it fences those who took it before
	State   DeliveryState // queued: it is tried again
	After   time.Duration // when, from now
	Begun   bool          // false: it was not tried, and the attempt doesn't count
	Error   string        // why it isn't sent
}

// DeliveryCounts is how a channel's queue stands.
type DeliveryCounts struct {
	Queued    int64
	OldestAge time.Duration // since the oldest queued one was queued; 0 if there is none
}
