package onsale

import (
	"encoding/json"
	"time"
)

// FeedProtocol is the WebSocket subprotocol of an event's feed. The server
// sends text frames, each one JSON object with a "type": FeedHello once, then a
// FeedSnapshot, then FeedDeltas; FeedOrder to the buyer it concerns alone. The
// client may send FeedAuth, to be told of its own orders, and FeedResume when it
// finds a gap.
//
// A client keeps the stock at one (epoch, seq). A delta with From equal to its
// seq, of the same epoch, moves it to Seq. Any other one whose Seq it has already is
// ignored. Anything else is a gap: it sends FeedResume and waits for the snapshot.
//
// While the stock is lost, or can't be reached, the sale is "recovering", and the rest is what
// was known last. That is no change of the stock, so it comes as a delta from a seq to
// the same seq. What follows is another such delta if nothing was lost, and the
// snapshot of a new epoch if the stock was laid anew.
const FeedProtocol = "onsale.v1"

// The types of feed frames.
const (
	FrameHello    = "hello"
	FrameSnapshot = "snapshot"
	FrameDelta    = "delta"
	FrameOrder    = "order"
	FrameAuth     = "auth"   // from the client
	FrameResume   = "resume" // from the client
)

// The close codes of the feed, in the range that RFC 6455 leaves to applications.
const (
	CloseUnauthenticated = 4401 // the token in "auth" is malformed, forged or expired: sign in again
	CloseTooSlow         = 4408 // frames could not be delivered in time: come back
	CloseBadFrame        = 4400 // the client sent something that isn't of the protocol
	CloseRestarting      = 4503 // the process is going down: come back after a random part of the advised time
)

// FeedHello opens every feed.
type FeedHello struct {
	Type        string    `json:"type"`
	ServerTime  time.Time `json:"server_time"`
	HeartbeatMs int64     `json:"heartbeat_ms"` // the server pings this often
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
// after each row: a available, h held, p pinned, s sold.
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
// Seats[i] = [offset in the section's string, letters].
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

// FeedOrder tells a buyer that their order has a new state.
type FeedOrder struct {
	Type   string     `json:"type"`
	Order  OrderID    `json:"order"`
	Hold   HoldID     `json:"hold"`
	State  OrderState `json:"state"`
	Reason string     `json:"reason,omitempty"`
	At     time.Time  `json:"at"`
}

// FeedRequest is what a client may send: {"type":"auth","token":…} or {"type":"resume"}.
type FeedRequest struct {
	Type  string `json:"type"`
	Token string `json:"token,omitempty"`
}

// MarshalJSON writes the run as [offset,"letters"].
func (r FeedRun) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{r.Offset, r.States}) }

// UnmarshalJSON reads [offset,"letters"].
func (r *FeedRun) UnmarshalJSON(b []byte) error {
	pair := [2]any{&r.Offset, &r.States}
	return json.Unmarshal(b, &pair)
}
