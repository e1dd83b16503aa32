package bench

import (
	"time"

	"onsale"
	"onsale/bench/timeline"
)

// What a storm and its workers say to each other, over one TCP connection each: JSON, one duty at
// a time, and its tidings when it is done; between them a worker tells every tellEvery how it goes.
// A connection that is silent for longer than wordPatience is a worker that has died.

const (
	tellEvery    = 2 * time.Second
	wordPatience = 60 * time.Second
)

// share is a worker's part of the crowd: every Step-th buyer, the first being First. The
// buyers are dealt out like cards, not cut in blocks, so that all workers are equally busy at any
// time, as arrivals are in the order of the buyers. What a buyer does depends on their number
// alone: the same seed makes the same crowd, whatever the number of workers.
type share struct {
	First int `json:"first"`
	Step  int `json:"step"` // 0: all of them
}

// has reports whether the n-th buyer belongs to the share.
func (s share) has(n int) bool { return s.Step == 0 || n%s.Step == s.First }

// size is how many of so many users belong to it.
func (s share) size(users int) int {
	if s.Step == 0 {
		return users
	}
	return (users - s.First + s.Step - 1) / s.Step
}

// The duties, in order.
const (
	dutyClock = "clock" // say what time it is
	dutyOpen  = "open"  // sign the share in and open its feeds
	dutyStorm = "storm" // let the share arrive, from the opening of the doors on
	dutyHand  = "hand"  // hand the ledger on
	dutyFeeds = "feeds" // compare every feed with what the server shows
	dutyLeave = "leave" // close the feeds and end
)

// duty is what a worker is asked to do.
type duty struct {
	Do    string    `json:"do"`
	Open  *casting  `json:"open,omitempty"`
	Doors time.Time `json:"doors,omitzero"` // storm: by the worker's own clock
}

// casting is who a worker is to be.
type casting struct {
	Config RushConfig    `json:"config"`
	Event  *onsale.Event `json:"event"`
	Share  share         `json:"share"`
	Ahead  time.Duration `json:"ahead"`  // that the storm's clock is ahead of the worker's
	Source string        `json:"source"` // the address that feeds on the same machine are opened from
}

// tidings are what a worker says.
type tidings struct {
	Token    string   `json:"token,omitempty"`   // the first ones: who may join
	Room     int      `json:"room,omitempty"`    // the first ones: how many feeds it may open
	Account  *account `json:"account,omitempty"` // what was measured since the last one
	Troubles []string `json:"troubles,omitempty"`
	Found    *bequest `json:"found,omitempty"` // promises that were found broken since the last one, and nothing else

	Done    string        `json:"done,omitempty"` // the duty that is done, or failed
	Error   string        `json:"error,omitempty"`
	Clock   time.Time     `json:"clock,omitzero"`   // clock
	Stormed time.Duration `json:"stormed,omitzero"` // storm: how long until the last one had left
	CPU     time.Duration `json:"cpu,omitzero"`     // storm: what the worker used meanwhile
	Busiest float64       `json:"busiest,omitzero"` // storm: the most that it needed of the processors that it may use
	Near    bool          `json:"near,omitempty"`   // storm: the worker is on the storm's own machine, which has started it
	Ledger  *bequest      `json:"ledger,omitempty"` // hand

	Line *timeline.Shard `json:"line,omitempty"` // hand: how it went, by the storm's clock
}
