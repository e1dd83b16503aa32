package realtime

import (
	"sync"
	"time"
)

const (
	// defaultEffort bounds the part of the gateway's processors that writing feeds may take. What is
	// conflated meanwhile is told all the same, in fewer frames, and the rest is for those who buy.
	defaultEffort = 1. / 3
	// eventShare is the part of that which one event may take.
	eventShare = 1. / 2
)

// effort is the part of the processors that a gateway's events would take for writing, if each went as
// fast as it may alone.
type effort struct {
	processors float64 // set before use
	most       float64 // of them, by all events together; set before use

	mu     sync.Mutex
	wanted float64 // under mu
}

// change replaces what one event wants, and returns what all want together.
func (e *effort) change(from, to float64) float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wanted += to - from
	return e.wanted
}

// pace is how fast one event goes. Its owner is the hub's goroutine. While all want more
// than they may together, everybody goes slower by the same factor. So an event is as late as what
// itself takes makes it, times what all others have too many: one with few watchers
// beside a large one keeps its tick.
type pace struct {
	effort *effort
	wanted float64 // this event's part
}

// rest returns how long to rest after a fan-out that took so long, and so much of processors' time: until
// the tick is over at least. What it took by the clock is not what it cost: on a machine that is full it takes
// long, and to rest long for that too would leave everybody with old news, to press what has gone.
func (p *pace) rest(tick, took, work time.Duration) time.Duration {
	due := time.Duration(float64(work) / (eventShare * p.effort.most * p.effort.processors))
	turn := max(tick, took, due)
	wanted := 0.0
	if turn > 0 {
		wanted = work.Seconds() / p.effort.processors / turn.Seconds()
	}
	all := p.effort.change(p.wanted, wanted)
	p.wanted = wanted
	return time.Duration(float64(turn)*max(1, all/p.effort.most)) - took
}

// idle says that the event has nothing to write for now.
func (p *pace) idle() {
	p.effort.change(p.wanted, 0)
	p.wanted = 0
}
