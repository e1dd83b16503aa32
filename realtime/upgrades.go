package realtime

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// upgrades bounds the work on upgrades: a handshake and a whole snapshot each, for as
// many as connect at once. A few are worked on at a time, and each is followed by a rest
// in proportion to what it took, so that a herd takes a known part of the machine. On a
// busy one an upgrade takes longer, and so the rest does: those who buy come first.
//
// An upgrade takes a tenth of a millisecond, and a timer is a whole one late. So rests that are
// short are owed until they are worth a timer, and then taken in one.
type upgrades struct {
	tokens  chan struct{} // as many as are worked on or rested after
	rest    float64       // after an upgrade, in what it took
	pending atomic.Int64  // let in and not answered yet

	mu   sync.Mutex
	owed time.Duration // under mu: of rests not taken yet; less than leastRest
}

// newUpgrades lets upgrades take that many processors.
func newUpgrades(share float64) upgrades {
	atOnce := math.Ceil(share)
	return upgrades{tokens: make(chan struct{}, int(atOnce)), rest: atOnce/share - 1}
}

// Pending is how many upgrades have been let in and aren't answered yet: whoever accepts
// connections should wait while they are many.
func (g *Gateway) Pending() int { return int(g.upgrades.pending.Load()) }

// begin waits for an upgrade's turn. It must be counted as pending before, and is no
// more when the function that it returns was called, once.
func (u *upgrades) begin() (end func()) {
	u.tokens <- struct{}{} // the work never waits for anybody, nor does the rest: it isn't long
	began := time.Now()
	return func() {
		u.pending.Add(-1)
		rest := u.due(time.Duration(u.rest * float64(time.Since(began))))
		if rest <= 0 {
			<-u.tokens
			return
		}
		time.AfterFunc(rest, func() { <-u.tokens })
	}
}

// due adds a rest to what is owed, and returns what is to be taken now: all of it, or nothing.
func (u *upgrades) due(rest time.Duration) (now time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.owed += min(rest, longestRest)
	if u.owed >= leastRest {
		now, u.owed = u.owed, 0
	}
	return now
}

const (
	// leastRest is long for a timer, and short for someone who buys.
	leastRest = 5 * time.Millisecond
	// longestRest is for an upgrade that took long for another reason: its client's network.
	longestRest = 20 * time.Millisecond
)
