package holds

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"onsale"
)

// When an event is sold out most requests come for nothing, and there are many. A
// mirror that knows can refuse them without asking Redis. What makes that true:
//
//   - it has what Redis had a moment ago: some call's reply has named no later seq than
//     the mirror's, and that call was sent at most knownFor ago. After that someone
//     must ask Redis again, and everyone learns from the reply;
//   - nothing has become due since: what expires belongs to the very next request;
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

// sighting is what a call's reply told.
type sighting struct {
	epoch onsale.Epoch
	seq   uint64
	due   time.Time // when the next hold is due, zero if none is
	now   time.Time // by Redis's clock
	sent  time.Time // when the call was sent, by ours

	granted []string // tails of the ids that the call has granted
}

// sightings are what the calls of this process have told of a stock.
type sightings struct {
	newest sighting // the one with the latest seq
	caught sighting // the last one that the mirror has caught up with
	ahead  sighting // the first one that it has yet to catch up with; zero if there is none
}

// note takes a call's reply over, unless a later one was here first. While a sale is busy there is always a reply that the mirror
// hasn't caught up with. So the first such is waited for, and not each time the next.
func (s *sightings) note(seen sighting) (newest bool) {
	if seen.epoch < s.newest.epoch || seen.epoch == s.newest.epoch && seen.seq < s.newest.seq {
		return false
	}
	s.newest = seen
	if s.ahead.sent.IsZero() || s.ahead.epoch != seen.epoch {
		s.ahead = seen
	}
	return true
}

// catchUp returns the last one that a mirror has caught up with whose stock is at that seq of that epoch.
func (s *sightings) catchUp(epoch onsale.Epoch, seq uint64) *sighting {
	if !s.ahead.sent.IsZero() && s.ahead.epoch == epoch && s.ahead.seq <= seq {
		s.caught, s.ahead = s.ahead, s.newest
	}
	if n := &s.newest; n.epoch == epoch && n.seq <= seq {
		s.caught, s.ahead = *n, sighting{}
	}
	return &s.caught
}

// read takes over a reply's clock, seq and next due time.
func (s *sighting) read(reply []rueidis.RedisMessage) error {
	var numbers [3]int64
	for i := range numbers {
		n, err := reply[i].AsInt64()
		if err != nil {
			return fmt.Errorf("read what apply tells of the stock: %w", err)
		}
		numbers[i] = n
	}
	s.now, s.seq, s.due = fromMs(numbers[0]), uint64(numbers[1]), fromMs(numbers[2])
	return nil
}

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
	if section == nil || !mi.isCurrent(time.Now()) || mi.mayHaveGranted(r, id) {
		return nil
	}
	return mi.soldOut.refusal(mi.layout, mi.stock, r.Asks, section, left)
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
			mi.owner.log.Warn("granted holds not read; sold-out answers ask Redis", "event", mi.layout.Event.ID, "error", err)
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
