package holds

import (
	"math"
	"slices"

	"github.com/anishathalye/porcupine"

	"onsale"
)

// deed is one operation as one thing saw it: a seat, a general section, or a hold.
type deed struct {
	name     string // hold, release, pin, confirm, free
	hold     onsale.HoldID
	foreign  bool  // asked by who doesn't own the hold
	n        int64 // how many of the thing's admissions are meant
	capacity int64 // the thing's: 1 for a seat
	holdMs   int64 // how long a hold lives
	// Between these the operation took effect, by the clock of the machine, which is
	// Redis's too; in ms.
	from, to int64
}

// verdict is what the caller was told.
type verdict struct {
	unknown  bool             // nothing: it may have happened, now or later, or not
	code     onsale.Code      // of a refusal, "" if there is none
	state    onsale.HoldState // the hold's, with a hold that was granted or repeated
	deadline int64            // ms, with it
	left     int64            // with a refusal of a general section: what it had
}

const never = math.MaxInt64

// claim is what a hold has of a thing.
type claim struct {
	hold            onsale.HoldID
	n               int64
	firm            bool  // pinned or sold: it doesn't expire
	soonest, latest int64 // its deadline is between these: the same, unless the answer was lost
}

// pool is a thing that has admissions: a general section, or a seat, which is a
// section of one. It is what a linearizable pool is at one moment.
type pool struct {
	now    int64 // Redis's clock is at least here, and never goes back
	claims []claim
}

func (p pool) taken() (n int64) {
	for _, c := range p.claims {
		n += c.n
	}
	return n
}

func (p pool) find(id onsale.HoldID) int {
	return slices.IndexFunc(p.claims, func(c claim) bool { return c.hold == id })
}

// with and without return another pool; a pool is never changed.
func (p pool) with(c claim) pool {
	out := p.without(c.hold)
	out.claims = append(out.claims, c)
	slices.SortFunc(out.claims, func(a, b claim) int {
		if a.hold < b.hold {
			return -1
		}
		return 1
	})
	return out
}

func (p pool) without(id onsale.HoldID) pool {
	out := pool{now: p.now}
	for _, c := range p.claims {
		if c.hold != id {
			out.claims = append(out.claims, c)
		}
	}
	return out
}

// between returns what the pool may be at some moment from one time to another:
// claims that are due at that moment are gone, the others are there.
func (p pool) between(from, to int64) (out []pool) {
	from = max(from, p.now)
	if from > to {
		return nil
	}
	moments := []int64{from}
	for _, c := range p.claims {
		if !c.firm && c.soonest > from && c.soonest <= to {
			moments = append(moments, c.soonest)
		}
	}
	for _, at := range moments {
		out = append(out, p.at(at)...)
	}
	return out
}

func (p pool) at(now int64) []pool {
	out := []pool{{now: now}}
	for _, c := range p.claims {
		if !c.firm && c.latest <= now {
			continue
		}
		kept := make([]pool, len(out))
		for i := range out {
			kept[i] = out[i].with(c)
		}
		if !c.firm && c.soonest <= now { // its deadline is not known: both may be
			kept = append(kept, out...)
		}
		out = kept
	}
	return out
}

// step returns what the pool may be after a deed with this verdict; nothing if
// there is no way for it to be so.
func (p pool) step(d deed, v verdict) (out []pool) {
	if v.unknown {
		out = append(out, p)
		for _, at := range p.between(d.from, never) {
			out = append(out, at.apply(d, claim{d.hold, d.n, false, at.now + d.holdMs, never})...)
		}
		return out
	}
	from, to := d.from, d.to
	if granted := v.deadline - d.holdMs; d.name == "hold" && v.code == "" {
		known := claim{d.hold, d.n, false, v.deadline, v.deadline}
		if i := p.find(d.hold); i < 0 && granted >= from && granted <= to {
			for _, at := range p.between(granted, granted) {
				out = append(out, at.apply(d, known)...)
			}
			if v.state == onsale.HoldHeld {
				return out
			}
		} else if i >= 0 && p.claims[i].soonest <= v.deadline && v.deadline <= p.claims[i].latest && !p.claims[i].firm {
			p = p.with(known)
		}
		for _, at := range p.between(from, to) {
			if at.isRepeat(d.hold, v.state) {
				out = append(out, at)
			}
		}
		return out
	}
	for _, at := range p.between(from, to) {
		switch {
		case v.code == "":
			out = append(out, at.apply(d, claim{})...)
		case at.refuses(d, v):
			out = append(out, at)
		}
	}
	return out
}

// apply is what a deed does that succeeds. It succeeds nowhere if the pool has no room.
func (p pool) apply(d deed, granted claim) []pool {
	i := p.find(d.hold)
	switch d.name {
	case "hold":
		if i >= 0 || p.taken()+d.n > d.capacity {
			return nil
		}
		return []pool{p.with(granted)}
	case "release":
		if i >= 0 && p.claims[i].firm {
			return nil
		}
		return []pool{p.without(d.hold)} // it may have been released before; life says whether
	case "free":
		return []pool{p.without(d.hold)}
	default: // pin, confirm
		if i < 0 || (d.name == "confirm" && !p.claims[i].firm) {
			return nil
		}
		c := p.claims[i]
		c.firm, c.soonest, c.latest = true, 0, 0
		return []pool{p.with(c)}
	}
}

// isRepeat reports whether a hold that was granted before can be in that state.
func (p pool) isRepeat(id onsale.HoldID, state onsale.HoldState) bool {
	i := p.find(id)
	switch state {
	case onsale.HoldHeld:
		return i >= 0 && !p.claims[i].firm
	case onsale.HoldPinned, onsale.HoldSold:
		return i >= 0 && p.claims[i].firm
	}
	return i < 0
}

// refuses reports whether a refusal is true of the pool.
func (p pool) refuses(d deed, v verdict) bool {
	i, left := p.find(d.hold), d.capacity-p.taken()
	switch v.code {
	case onsale.CodeSoldOut:
		return i < 0 && left == v.left && left < d.n
	case onsale.CodeSeatTaken:
		return i < 0 && left == 0
	case onsale.CodeHoldEnded:
		return i < 0 || d.name == "release" && p.claims[i].firm
	case onsale.CodeHoldPinned:
		return i >= 0 && p.claims[i].firm
	case onsale.CodeUnknownHold:
		return d.foreign || i < 0
	}
	return false
}

// life is what has become of one hold, "" before there is one.
type life struct {
	now             int64
	state           onsale.HoldState
	soonest, latest int64
}

// between is what the life may be at some moment from one time to another.
func (l life) between(from, to int64) (out []life) {
	if from = max(from, l.now); from > to {
		return nil
	}
	dead := l
	dead.state = onsale.HoldExpired
	l.now, dead.now = from, max(from, l.soonest)
	if l.state != onsale.HoldHeld || l.latest > from {
		out = append(out, l)
	}
	if l.state == onsale.HoldHeld && l.soonest <= to {
		out = append(out, dead)
	}
	return out
}

// lives says what an owner's deed does to a hold of each state: the state after it,
// or the refusal.
var lives = map[string]map[onsale.HoldState]any{
	"release": {onsale.HoldHeld: onsale.HoldReleased, onsale.HoldReleased: onsale.HoldReleased, onsale.HoldPinned: onsale.CodeHoldPinned,
		onsale.HoldSold: onsale.CodeHoldEnded, onsale.HoldExpired: onsale.CodeHoldEnded, "": onsale.CodeUnknownHold},
	"pin": {onsale.HoldHeld: onsale.HoldPinned, onsale.HoldPinned: onsale.HoldPinned, onsale.HoldSold: onsale.HoldSold,
		onsale.HoldReleased: onsale.CodeHoldEnded, onsale.HoldExpired: onsale.CodeHoldEnded, "": onsale.CodeUnknownHold},
	"confirm": {onsale.HoldPinned: onsale.HoldSold, onsale.HoldSold: onsale.HoldSold},
	"free": {onsale.HoldHeld: onsale.HoldReleased, onsale.HoldPinned: onsale.HoldReleased, onsale.HoldReleased: onsale.HoldReleased,
		onsale.HoldSold: onsale.HoldSold, onsale.HoldExpired: onsale.HoldExpired},
}

func (l life) step(d deed, v verdict) (out []life) {
	to := d.to
	if v.unknown {
		out, to = append(out, l), never
	}
	for _, at := range l.between(d.from, to) {
		after, ok := at, false
		if d.name == "hold" {
			after, ok = at.held(d, v)
		} else if d.foreign {
			ok = v.code == onsale.CodeUnknownHold
		} else {
			switch what := lives[d.name][at.state].(type) {
			case onsale.Code:
				ok = v.code == what || v.unknown
			case onsale.HoldState:
				after.state, ok = what, v.code == ""
			}
		}
		if ok {
			out = append(out, after)
		}
	}
	return out
}

// held is what asking for the hold does, and whether the verdict can be so.
func (l life) held(d deed, v verdict) (life, bool) {
	switch {
	case v.unknown && l.state == "":
		return life{l.now, onsale.HoldHeld, l.now + d.holdMs, never}, true
	case v.unknown:
		return l, true
	case v.code != "":
		return l, l.state == "" && (v.code == onsale.CodeSoldOut || v.code == onsale.CodeSeatTaken)
	case l.state == "":
		// Granted, and perhaps over before the answer, if that had to be asked for twice.
		granted := v.deadline - d.holdMs
		return life{l.now, v.state, v.deadline, v.deadline},
			granted >= d.from && granted <= d.to && (v.state == onsale.HoldHeld || v.state == onsale.HoldExpired && v.deadline <= d.to)
	}
	ok := l.state == v.state && l.soonest <= v.deadline && v.deadline <= l.latest
	l.soonest, l.latest = v.deadline, v.deadline
	return l, ok
}

// modelOf is the porcupine model of what begins as given.
func modelOf[S any](begin S, step func(S, deed, verdict) []S, equal func(a, b S) bool) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{begin} },
		Step: func(state, input, output any) (next []any) {
			for _, s := range step(state.(S), input.(deed), output.(verdict)) {
				next = append(next, s)
			}
			return next
		},
		Equal: func(a, b any) bool { return equal(a.(S), b.(S)) },
	}
	return m.ToModel()
}

var (
	poolModel = modelOf(pool{}, pool.step, func(a, b pool) bool { return a.now == b.now && slices.Equal(a.claims, b.claims) })
	lifeModel = modelOf(life{}, life.step, func(a, b life) bool { return a == b })
)
