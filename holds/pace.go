package holds

import (
	"context"
	"sync"
	"time"

	"onsale"
)

// pace is how often this process's mirrors ask Redis whether they have missed something.
// Each would once in checkEvery; however many there are, they take turns, so that all
// together ask no more than so often, one after the other. Those that somebody looks at
// or buys from don't wait for the others. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	last [kindCount]time.Time // under mu: the last turn that was given
}

// kind says how much a mirror is needed.
type kind int

const (
	needed kind = iota // on sale, watched, or in doubt
	idle               // known, not on sale, and nobody looks
	kindCount
)

// checksPerSecond is how often the mirrors of a kind may ask: some 10 µs of Redis's time each.
var checksPerSecond = [kindCount]time.Duration{needed: 400, idle: 100}

// lookAgain is how long a mirror waits for its turn before it sees whether it is of
// another kind by now.
const lookAgain = 5 * time.Second

// turn is when a mirror that has asked just now may ask again.
func (p *pace) turn(now time.Time, k kind) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now.Add(checkEvery)
	if free := p.last[k].Add(time.Second / checksPerSecond[k]); free.After(at) {
		at = free
	}
	p.last[k] = at
	return at
}

// kind is the mirror's at the moment.
func (mi *mirror) kind() kind {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if s := mi.stock; len(mi.listeners) == 0 && s != nil && s.Sale != onsale.SaleOpen && s.Sale != onsale.SaleRecovering {
		return idle
	}
	return needed
}

// awaitTurn returns when the mirror may ask, or its life ends.
func (mi *mirror) awaitTurn(ctx context.Context) {
	k := mi.kind()
	turn := mi.owner.pace.turn(time.Now(), k)
	for ctx.Err() == nil {
		left := time.Until(turn)
		if left <= 0 {
			return
		}
		pause(ctx, min(left, lookAgain))
		if k == idle && mi.kind() == needed {
			k, turn = needed, mi.owner.pace.turn(time.Now(), needed)
		}
	}
}
