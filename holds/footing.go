package holds

import (
	"context"
	"sync"
	"time"
)

// footing is where a mirror stands on the ladder. The zero value stands on the first
// rung.
type footing struct {
	mu   sync.Mutex
	rung int                // under mu: in Mirrors.rungs
	end  context.CancelFunc // under mu: of the subscription there; nil before the first
}

func (f *footing) at() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rung
}

// stand returns the rung, and a context that ends when the mirror leaves it.
func (f *footing) stand(ctx context.Context) (int, context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end != nil {
		f.end()
	}
	ctx, f.end = context.WithCancel(ctx)
	return f.rung, ctx
}

// step goes from a rung to another, or begins anew on the same one. It does nothing
// if the mirror stands elsewhere already.
func (f *footing) step(from, to int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rung == from {
		f.rung = to
		f.end()
	}
}

// listen hands what is published to run, for as long as the mirror lives. The
// stock is read anew each time a subscription begins: what was published before
// is in it, what is published after will come.
func (mi *mirror) listen(ctx context.Context) {
	channel := mi.batcher.keys.channel
	for ctx.Err() == nil {
		at, here := mi.footing.stand(ctx)
		r := mi.owner.rungs[at]
		err := r.listen(here, channel, mi.askReload, func(text string) {
			select {
			case mi.inbox <- text:
			default:
				mi.askReload()
			}
		})
		if here.Err() != nil {
			if ctx.Err() == nil && mi.footing.at() != at {
				r.hush(ctx, channel)
			}
			continue
		}
		mi.owner.log.Warn("subscription broke; it is made again", "event", mi.layout.Event.ID, "at", r.name, "error", err)
		if r.master {
			pause(ctx, resubscribePause)
		} else {
			mi.footing.step(at, at+1)
		}
	}
}

// keep checks the mirror, and where it stands, for as long as it lives.
func (mi *mirror) keep(ctx context.Context) {
	c := checker{mirror: mi, last: Condition{Absent: true}}
	for mi.awaitTurn(ctx); ctx.Err() == nil; mi.awaitTurn(ctx) {
		c.check(ctx)
	}
}

// checker holds a mirror against the master. Whatever else goes wrong, with a
// subscription, a replica, or the way between the two, shows in what it sees.
type checker struct {
	mirror *mirror
	last   Condition // of the stock at the master, when it was last asked
	behind uint64    // 1 + the seq that the mirror had when it was last seen to be behind; 0: it was not
	looked time.Time // up the ladder
}

// check asks whether the stock is whole, and whether the mirror has all of it. What
// the master had at the last check must by now be where the mirror reads, or that is
// no place to stand. A mirror that is behind twice at the same seq has lost its
// subscription: it begins anew.
func (c *checker) check(ctx context.Context) {
	mi := c.mirror
	asked, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now, err := mi.owner.desk.conditionOf(asked, mi.book)
	if err != nil {
		c.behind = 0
		mi.doubt()
		return // the next check asks again
	}
	was := c.last
	c.last = now
	known, seen := mi.seen()
	if !now.Whole() || known && now.Epoch < seen.Epoch {
		mi.doubt()
		mi.owner.onAmiss(mi.layout.Event.ID)
	}
	mi.trust(now)
	if c.step(ctx, was) {
		c.behind = 0
		return
	}
	switch at := seen.Seq + 1; {
	case !now.Whole() || known && now.Epoch == seen.Epoch && now.Seq == seen.Seq:
		c.behind = 0
	case !known:
		c.behind = 0
		mi.askReload()
	case c.behind == at:
		c.behind = 0
		standing := mi.footing.at()
		mi.footing.step(standing, standing)
	default:
		c.behind = at
	}
}

// step leaves a rung that is no good for the next one, and goes back up to one that is
// good. It reports whether the mirror has moved.
func (c *checker) step(ctx context.Context, was Condition) bool {
	mi := c.mirror
	at := mi.footing.at()
	r := mi.owner.rungs[at]
	if !r.master {
		if err := r.sound(ctx, mi.batcher.keys, was); err != nil {
			mi.owner.log.Warn("replica left; it is tried again", "event", mi.layout.Event.ID, "replica", r.name, "because", err)
			mi.footing.step(at, at+1)
			return true
		}
	}
	if time.Since(c.looked) < climbEvery {
		return false
	}
	c.looked = time.Now()
	for up, r := range mi.owner.rungs[:at] {
		if r.sound(ctx, mi.batcher.keys, was) == nil {
			mi.footing.step(at, up)
			return true
		}
	}
	return false
}

// seen is what the mirror knows of the stock, false if nothing.
func (mi *mirror) seen() (known bool, c Condition) {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	if mi.stock == nil {
		return false, Condition{}
	}
	return true, Condition{Epoch: mi.stock.Epoch, Seq: mi.stock.Seq}
}
