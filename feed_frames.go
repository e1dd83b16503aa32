package onsale

import (
	"encoding/json"
	"time"
)

// FeedHello opens every feed.
type FeedHello struct {
	Type        string    `json:"type"`
	ServerTime  time.Time `json:"server_time"`
	HeartbeatMs int64     `json:"heartbeat_ms"`    // the server pings this often
	Epoch       Epoch     `json:"epoch,omitempty"` // the event's; none while the server doesn't know it
}

// FeedSnapshot is the whole availability. Sections are in the event's order.
type FeedSnapshot struct {
	Type     string        `json:"type"`
	Event    EventID       `json:"event"`
	Epoch    Epoch         `json:"epoch"`
	Seq      uint64        `json:"seq"`
	At       time.Time     `json:"at"`
	Sale     Sale          `json:"sale"`
	Sections []FeedSection `json:"sections"`
}

// FeedSection is one section's availability. Seats has a letter a seat, a '|'
// after each row: a available, w and c available to those who ask for wheelchair places
// and their companions', h held, p pinned, s sold.
type FeedSection struct {
	ID string `json:"id"`
	Counts
	Seats string `json:"seats,omitempty"`
}

// FeedDelta moves a client from From to Seq. Several changes are conflated into one.
type FeedDelta struct {
	Type     string                 `json:"type"`
	Epoch    Epoch                  `json:"epoch"`
	From     uint64                 `json:"from"`
	Seq      uint64                 `json:"seq"`
	At       time.Time              `json:"at"`
	Sale     Sale                   `json:"sale"`
	Sections map[string]FeedChanges `json:"sections"`
}

// FeedChanges are a section's new counts, and the new letters of its seats:
// Seats[i] = [offset in the section's string, letters], offsets rising.
type FeedChanges struct {
	Counts
	Seats []FeedRun `json:"seats,omitempty"`
}

// FeedRun is new letters from an offset of the section's seat string on. It
// travels as a pair: [12,"hh"].
type FeedRun struct {
	Offset int
	States string
}

// FeedSale moves a client from From to Seq, which may be the same, where the sale
// changed and nothing else did: it was opened, paused or closed, is recovering, or has recovered.
type FeedSale struct {
	Type  string    `json:"type"`
	Epoch Epoch     `json:"epoch"`
	From  uint64    `json:"from"`
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Sale  Sale      `json:"sale"`
}

// FeedQueue tells a buyer how far they are in the queue for an event.
type FeedQueue struct {
	Type          string    `json:"type"`
	Event         EventID   `json:"event"`
	Position      int64     `json:"position"`        // 1 is the next to be let in; 0: let in
	PacePerMinute int64     `json:"pace_per_minute"` // how many were let in during the last minute
	At            time.Time `json:"at"`
}

// FeedHold tells a buyer of a hold that is not being paid for: that it is about to end,
// while State is held, or what it came to. A hold that is being paid for is told of by its order.
type FeedHold struct {
	Type     string    `json:"type"`
	Hold     HoldID    `json:"hold"`
	State    HoldState `json:"state"`                // held, expired or released
	EndsInMs int64     `json:"ends_in_ms,omitempty"` // while it is held
	At       time.Time `json:"at"`
}

// FeedOrder tells a buyer that their order has a new state.
type FeedOrder struct {
	Type   string     `json:"type"`
	Order  OrderID    `json:"order"`
	Hold   HoldID     `json:"hold"`
	State  OrderState `json:"state"`
	Reason string     `json:"reason,omitempty"`
	At     time.Time  `json:"at"`
}

// FeedBye is the last frame before the server closes the feed, with the same code.
type FeedBye struct {
	Type          string `json:"type"`
	Code          int    `json:"code"`
	Reason        string `json:"reason"`
	RetryWithinMs int64  `json:"retry_within_ms,omitempty"` // come back after a random part of it; 0: no advice
}

// FeedRequest is what a client may send: {"type":"auth","token":…}, {"type":"hold","hold":…},
// {"type":"resume"} or {"type":"resume","epoch":…,"seq":…}.
type FeedRequest struct {
	Type  string `json:"type"`
	Token string `json:"token,omitempty"`
	Hold  HoldID `json:"hold,omitempty"`
	Epoch Epoch  `json:"epoch,omitempty"` // 0: send a snapshot
	Seq   uint64 `json:"seq,omitempty"`
}

// MarshalJSON writes the run as [offset,"letters"].
func (r FeedRun) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{r.Offset, r.States}) }

// UnmarshalJSON reads [offset,"letters"].
func (r *FeedRun) UnmarshalJSON(b []byte) error {
	pair := [2]any{&r.Offset, &r.States}
	return json.Unmarshal(b, &pair)
}
