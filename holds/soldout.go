package holds

import (
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"strconv"
	"time"

	"onsale"
)

// When an event is sold out, or a seat is taken that maps still show, requests come for nothing, and there are many. A
// mirror that knows can refuse them without asking Redis. What makes that true:
//
//   - it has what Redis had a moment ago: some call's reply has named no later seq than
//     the mirror's, and that call was sent at most knownFor ago. After that someone
//     must ask Redis again, and everyone learns from the reply;
//   - nothing has become due since: what expires belongs to the very next request; and
//     nothing was given back through this process that the mirror hasn't heard of: whoever gave
//     it back may have done so to take it anew;
//   - the request is no repeat of one that was granted, whose answer is that hold. The
//     mirror has seen every id that was granted under a key: those before it listened
//     by reading them through, those since in the deltas, and what this process's own calls
//     have granted before anybody was told.
//
// Two copies of one request that are under way at once may be answered differently, if a seat
// came back in the last knownFor: one finds it, the other was refused before. A refusal uses up no
// key; who asks again has the hold.

const (
	// knownFor is less than the 250 ms for which a refusal may be out of date.
	knownFor = 200 * time.Millisecond
	// grantTail is how much of a granted id a delta tells: 10 letters of 5 bits.
	grantTail = 10
	// scanPage is how many holds one look at the granted ids takes: some 50 µs of Redis's time.
	scanPage = 100
	// scanPause is how long to wait before they are read again if they couldn't be.
	scanPause = time.Second
	// scanTimeout bounds the reading of all of them.
	scanTimeout = 30 * time.Second
)

// refuse returns why a request can't be had, if this process knows without asking; nil
// if Redis must be asked. id is the hold that it would be.
func (m *Mirrors) refuse(l *onsale.Layout, r *Request, id onsale.HoldID) error {
	if v := m.begun(l.Event.ID); v != nil {
		return v.turnAway(r, id)
	}
	return nil
}

func (mi *mirror) turnAway(r *Request, id onsale.HoldID) error {
	mi.mu.Lock()
	defer mi.mu.Unlock()
	return mi.refuse(r, id)
}

// refuse is Mirrors.refuse for the mirror's event. The caller has mu.
func (mi *mirror) refuse(r *Request, id onsale.HoldID) error {
	if mi.stock == nil || mi.stock.Sale != onsale.SaleOpen {
		return nil
	}
	section, left := short(mi.stock, r.Asks)
	picked, gone := taken(mi.stock, r.Asks)
	if section == nil && picked == nil || !mi.isCurrent(time.Now()) || mi.mayHaveGranted(r, id) {
		return nil
	}
	if section != nil {
		return mi.soldOut.refusal(mi.layout, mi.stock, r.Asks, section, left)
	}
	e := seatTaken(picked, gone)
	e.Nearby = offers(mi.layout, mi.stock, r.Asks, e)
	return e
}

// taken is the section of which one of the asks picks seats that somebody has, and which they are; nil if there is none.
func taken(stock *onsale.Stock, asks []onsale.CheckedAsk) (section *onsale.SectionLayout, seats []string) {
	for i := range asks {
		for _, offset := range asks[i].Offsets {
			if !onsale.IsAvailable(stock.Seats[offset]) {
				section = asks[i].In[0]
				seats = append(seats, section.Seat(offset))
			}
		}
		if section != nil {
			return section, seats
		}
	}
	return nil, nil
}

// mayHaveGranted reports whether the request may be the repeat of one that was granted
// that hold. The caller has mu.
func (mi *mirror) mayHaveGranted(r *Request, id onsale.HoldID) bool {
	if r.Key == "" || mi.grants.whole && mi.hearsAtOnce() && !mi.grants.has(tailOf(id)) {
		return false
	}
	mi.readGrants()
	return true
}

// hearsAtOnce reports whether the mirror listens at the master. What a replica hands on may
// be late, and a repeat may come here before the grant that it repeats.
func (mi *mirror) hearsAtOnce() bool { return mi.owner.rungs[mi.footing.at()].master }

// short is the section that can't give what one of the asks wants, not even apart, and
// what it has left; nil if there is none.
func short(stock *onsale.Stock, asks []onsale.CheckedAsk) (section *onsale.SectionLayout, left int64) {
	for i := range asks {
		a := &asks[i]
		section, left = nil, -1
		for _, s := range a.In {
			if n := stock.Counts[s.Index].Available; n > left {
				section, left = s, n
			}
		}
		if a.Offsets == nil && left < int64(a.Quantity) {
			return section, left
		}
	}
	return nil, 0
}

// isCurrent reports whether the mirror has all that Redis had knownFor ago, and nothing
// has become due since. The caller has mu.
func (mi *mirror) isCurrent(now time.Time) bool {
	s := mi.sighted.catchUp(mi.stock.Epoch, mi.stock.Seq)
	if s == nil {
		return false
	}
	passed := now.Sub(s.sent)
	if passed > knownFor || s.epoch != mi.stock.Epoch || s.seq > mi.stock.Seq {
		return false
	}
	theirs := s.now.Add(passed)
	return (mi.nextDue.IsZero() || theirs.Before(mi.nextDue)) && (s.due.IsZero() || theirs.Before(s.due))
}

// soldOutAnswers are refusals of one ask that were made already: the same for everyone,
// until the stock changes.
type soldOutAnswers struct {
	epoch onsale.Epoch
	seq   uint64
	of    map[soldOutAsk]error
}

type soldOutAsk struct {
	section  int // its index: of the one in which most is left
	quantity int
}

// refusal is the answer to who wants more of a section than the stock has left.
func (a *soldOutAnswers) refusal(l *onsale.Layout, stock *onsale.Stock, asks []onsale.CheckedAsk, s *onsale.SectionLayout, left int64) error {
	if a.epoch != stock.Epoch || a.seq != stock.Seq || a.of == nil {
		*a = soldOutAnswers{stock.Epoch, stock.Seq, map[soldOutAsk]error{}}
	}
	ask := soldOutAsk{s.Index, asks[0].Quantity}
	made := a.of[ask]
	if made == nil || len(asks) > 1 || len(asks[0].In) > 1 {
		e := soldOut(s, strconv.FormatInt(left, 10))
		if refusal, ok := errors.AsType[*onsale.Error](e); ok {
			refusal.Nearby = offers(l, stock, asks, refusal)
		}
		if made = e; len(asks) == 1 && len(asks[0].In) == 1 {
			a.of[ask] = made
		}
	}
	return made
}

// grantedIDs knows the tails of ids that were granted under a key, in a Bloom filter: it
// may take an id for granted that is not, one in some hundred at the worst, which costs a question to Redis.
// Source: Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13(7), 1970.
type grantedIDs struct {
	words   []uint64
	whole   bool      // it has all of them
	reading bool      // somebody reads those that were granted before
	reset   uint64    // how often it was emptied: what was read for an earlier one doesn't count
	added   int64     // ids since then, those that were added twice counted twice
	room    int64     // for so many ids
	failed  time.Time // when they could last not be read
}

const (
	grantBits   = 16 // of the filter for each admission of the event
	grantHashes = 4
)

var grantSeed = maphash.MakeSeed()

// empty forgets all. There is room for so many ids, once they are read: most events are
// never sold out, and need none.
func (g *grantedIDs) empty(room int64) {
	*g = grantedIDs{reset: g.reset + 1, room: max(64, room), failed: g.failed}
}

// ready sees to it that ids can be added.
func (g *grantedIDs) ready() {
	if g.words == nil {
		g.words = make([]uint64, 1<<bits.Len64(uint64(g.room)*grantBits/64))
	}
}

// isFull reports whether so many were added that it would take too many for granted.
func (g *grantedIDs) isFull() bool { return g.added > 2*g.room }

func (g *grantedIDs) add(tail string) {
	g.added++
	g.each(tail, func(word *uint64, bit uint64) bool { *word |= bit; return true })
}

func (g *grantedIDs) has(tail string) bool {
	found := true
	g.each(tail, func(word *uint64, bit uint64) bool { found = *word&bit != 0; return found })
	return found
}

// each calls f for each of the tail's bits until it returns false.
func (g *grantedIDs) each(tail string, f func(word *uint64, bit uint64) bool) {
	h := maphash.String(grantSeed, tail)
	step := h>>32 | 1
	for range grantHashes {
		if !f(&g.words[h/64%uint64(len(g.words))], 1<<(h%64)) {
			return
		}
		h += step
	}
}

// tailOf is the part of an id that a delta tells; see hold.lua.
func tailOf(id onsale.HoldID) string {
	const random = 26 // letters at the end of an id
	if len(id) < random {
		return ""
	}
	from := len(id) - random
	return string(id[from : from+grantTail])
}

// learn takes over ids that a call has granted, and that a delta will tell of. The caller has mu.
func (g *grantedIDs) learn(tails []string) {
	if g.words == nil {
		return // they will be read, these too
	}
	for _, tail := range tails {
		g.each(tail, func(word *uint64, bit uint64) bool { *word |= bit; return true })
	}
}

// note takes over the ids that a delta tells of. The caller has mu.
func (g *grantedIDs) note(tails string) {
	if g.words == nil {
		return // they will be read, these too
	}
	for ; len(tails) >= grantTail; tails = tails[grantTail:] {
		g.add(tails[:grantTail])
	}
}

// readGrants has the ids read that were granted before the mirror listened, unless
// somebody is at it. The caller has mu.
func (mi *mirror) readGrants() {
	if mi.grants.isFull() { // it never forgets one by one: it begins anew, with room for all there have been
		mi.grants.empty(mi.grants.added)
	}
	if mi.grants.whole || mi.grants.reading || time.Since(mi.grants.failed) < scanPause {
		return
	}
	mi.grants.ready()
	reset := mi.grants.reset
	mi.grants.reading = mi.owner.group.Go(context.Background(), func(ctx context.Context) {
		err := mi.scanGrants(ctx)
		mi.mu.Lock()
		defer mi.mu.Unlock()
		if mi.grants.reset == reset {
			mi.grants.reading, mi.grants.whole = false, err == nil
		}
		if err != nil && ctx.Err() == nil {
			mi.grants.failed = time.Now()
			mi.owner.log.Warn("granted holds not read; refusals ask Redis", "event", mi.layout.Event.ID, "error", err)
		}
	})
}

// scanGrants goes through all holds. What is granted meanwhile comes in deltas.
func (mi *mirror) scanGrants(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	c := mi.batcher.client
	key := mi.batcher.keys.all[1]
	for cursor := uint64(0); ; {
		page, err := c.Do(ctx, c.B().Hscan().Key(key).Cursor(cursor).Count(scanPage).Build()).AsScanEntry()
		if err != nil {
			return err
		}
		if len(page.Elements)%2 != 0 {
			return errors.New("a page of holds has a field without a value")
		}
		mi.mu.Lock()
		mi.grants.ready() // should it have been emptied meanwhile, what is read is not for it, and does no harm
		for i := 0; i < len(page.Elements); i += 2 {
			mi.grants.add(tailOf(onsale.HoldID(page.Elements[i])))
		}
		mi.mu.Unlock()
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}
