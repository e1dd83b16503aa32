package realtime

import (
	"sync"
	"time"
)

const (
	// restFactor bounds the part of the time in which one event's feeds are written to a third:
	// after a fan-out it rests twice as long.
	restFactor = 2
	// mostEffort bounds what all events take together. What is conflated meanwhile is told all
	// the same, in fewer frames, and the rest of the machine is for those who buy.
	mostEffort = 0.5
)

// effort is the part of the time that a gateway's events would take for writing, if each went as
// fast as it may alone.
type effort struct {
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
// than mostEffort together, everybody goes slower by the same factor. So an event is as late as what
// itself takes makes it, times what all others have too many: one with few watchers
// beside a large one keeps its tick.
type pace struct {
	effort *effort
	wanted float64 // this event's part
}

// rest returns how long to rest after a fan-out that took so long: until the tick is over at least.
func (p *pace) rest(tick, took time.Duration) time.Duration {
	turn := max(tick, (1+restFactor)*took)
	wanted := 0.0
	if turn > 0 {
		wanted = took.Seconds() / turn.Seconds()
	}
	all := p.effort.change(p.wanted, wanted)
	p.wanted = wanted
	return time.Duration(float64(turn)*max(1, all/mostEffort)) - took
}

// idle says that the event has nothing to write for now.
func (p *pace) idle() {
	p.effort.change(p.wanted, 0)
	p.wanted = 0
}
