package realtime

import (
	"sync/atomic"
	"time"
)

// restFactor bounds the part of the time in which feeds are written: an event alone is
// written to for a third of it, any number of them for a half. What is conflated in
// between is told all the same, in fewer frames.
const restFactor = 2

// effort is how long all fan-outs of a gateway took together so far, in nanoseconds.
type effort struct{ atomic.Int64 }

// pace is an event's part in the effort. Its owner is the hub's goroutine.
//
// After each fan-out an event rests for restFactor times what all events' took since its
// last rest began, not its own alone: else a hundred events would each take a
// third of the machine. One with few watchers beside a large one is hardly held up: in
// the time that it rests, the large one rests too.
type pace struct {
	effort *effort
	seen   int64
}

// rest returns how long to rest after a fan-out that took so long, at least until the tick is over.
func (p *pace) rest(tick, took time.Duration) time.Duration {
	now := p.effort.Add(int64(took))
	all := time.Duration(now - p.seen)
	p.seen = now
	return max(tick-took, restFactor*all)
}
