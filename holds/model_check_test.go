package holds

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"onsale"
)

// trial runs a schedule on the model and on a real Redis, and compares every answer
// and, after every step, the whole stock. Time is the test's own: the book's clock
// never runs backwards, so a clock that is set ahead is the one that counts.
type trial struct {
	h     *house
	model *model
	ids   []string // holds that were granted, oldest first
	next  int

	bought map[string]belongings // what each order first had, by hold
}

// belongings are an order's, as news tell them.
type belongings struct {
	seats   []int
	general map[int]int
}

// or is what is known or, if nothing is, what the hold has.
func (b belongings) or(h *modelHold) belongings {
	if b.general != nil {
		return b
	}
	return belongings{slices.Clone(h.offsets), maps.Clone(h.general)}
}

// less leaves the first n of the seats and one of each general section away, but never
// everything.
func (b belongings) less(n int) belongings {
	left := belongings{b.seats, maps.Clone(b.general)}
	if len(b.seats) > n {
		left.seats = b.seats[n:]
	}
	for section, has := range left.general {
		if n > 0 && has > 1 {
			left.general[section]--
		}
	}
	return left
}

// lines is how an order's lines are written.
func (b belongings) lines(l *onsale.Layout) string {
	var lines []onsale.Line
	for _, s := range l.Sections() {
		line := onsale.Line{Section: s.ID, Quantity: b.general[s.Index]}
		for _, offset := range b.seats {
			if offset >= s.Start && offset < s.End {
				line.Seats = append(line.Seats, s.Seat(offset))
				line.Quantity++
			}
		}
		if line.Quantity > 0 {
			lines = append(lines, line)
		}
	}
	return encodeLines(lines, l)
}

// newTrial lays a small, awkward house: rows of 1 to 9 seats, accessible ones among
// them, and two general sections.
func newTrial(h *house) *trial {
	k := newKeys(h.desk.cfg.Namespace, h.layout.Event.ID)
	ahead := time.Now().Add(24 * time.Hour).UnixMilli()
	for _, command := range [][]string{{"HSET", k.all[0], "clock", strconv.FormatInt(ahead, 10)}} {
		if err := h.client.Do(context.Background(), h.client.B().Arbitrary(command...).Build()).Error(); err != nil {
			h.t.Fatal(err)
		}
	}
	return &trial{h: h, model: newModel(h.layout, ahead, h.desk.cfg.Memory.Milliseconds()), bought: map[string]belongings{}}
}

func trialEvent(e *onsale.Event) {
	e.HoldSeconds, e.ExtendSeconds, e.MaxPerBuyer, e.HoldsPerMinute = 10, 5, 7, 6
	e.Sections = []onsale.Section{
		{ID: "stand", Kind: onsale.Reserved, Price: 8000, Wheelchair: []string{"C-1", "E-3"}, Companion: []string{"C-2", "E-2", "E-4"},
			Rows: []onsale.Row{{ID: "A", Seats: 5}, {ID: "B", Seats: 2}, {ID: "C", Seats: 6}, {ID: "D", Seats: 1}, {ID: "E", Seats: 9}}},
		{ID: "floor", Kind: onsale.General, Capacity: 9, Price: 5000},
		{ID: "circle", Kind: onsale.Reserved, Price: 8000, Rows: []onsale.Row{{ID: "A", Seats: 3}, {ID: "B", Seats: 7}}},
		{ID: "lawn", Kind: onsale.General, Capacity: 4, Price: 5000},
	}
}

// step is one call with one or several operations.
type step struct {
	advance int64 // ms
	ops     []trialOp
}

type trialOp struct {
	name       string // hold, release, pin, extend, confirm (which may come to a refund), free
	buyer      string
	key        int // for hold: which idempotency key, 0 none; for confirm: how much of it was refunded
	asks       []onsale.Ask
	hold       int // for the others: which of the holds so far, from the last back
	owner      bool
	generation int
}

// run runs a step and returns what differs, "" if nothing does.
func (t *trial) run(s step) string {
	m := t.model
	if s.advance > 0 {
		m.now += s.advance
		k := newKeys(t.h.desk.cfg.Namespace, t.h.layout.Event.ID)
		if err := t.h.client.Do(context.Background(), t.h.client.B().Hset().Key(k.all[0]).FieldValue().
			FieldValue("clock", strconv.FormatInt(m.now, 10)).Build()).Error(); err != nil {
			return err.Error()
		}
	}
	m.reap()
	var ops []*operation
	var want []string
	for _, o := range s.ops {
		op, answer := t.both(o)
		if op != nil {
			ops, want = append(ops, op), append(want, answer)
		}
	}
	b := t.h.desk.batcher(t.h.layout.Event.ID, testEpoch)
	got, err := b.call(ops)
	for err == nil && len(got) < len(ops) { // on a slow machine Redis has not had the time for all
		var more []string
		more, err = b.call(ops[len(got):])
		got = append(got, more...)
	}
	if err != nil {
		return err.Error()
	}
	for i := range got {
		if plainReply(strings.Replace(got[i], "ok = ", "ok "+string(ops[i].hold)+" ", 1)) != want[i] {
			return fmt.Sprintf("%s %v: redis answers %q, the model %q", ops[i].name, ops[i].args, got[i], want[i])
		}
	}
	return t.compare()
}

// both has the model do an operation, and returns it for Redis.
func (t *trial) both(o trialOp) (*operation, string) {
	m := t.model
	if o.name == "hold" {
		asks, err := t.h.layout.CheckAsks(o.asks)
		if err != nil {
			return nil, ""
		}
		id := fmt.Sprintf("key-%s-%d", o.buyer, o.key)
		r := Request{Buyer: onsale.BuyerID(o.buyer), Asks: asks, Key: "x"}
		if o.key == 0 {
			t.next++
			id, r.Key = fmt.Sprintf("hold-%d", t.next), ""
		}
		name, args := holdArgs(r)
		print := args[0]
		if name == "hold" {
			print = args[1]
		}
		answer := m.hold(id, o.buyer, print, asks)
		if strings.HasPrefix(answer, "ok") {
			t.ids = append(t.ids, id)
		}
		return newOperation(name, onsale.HoldID(id), r.Buyer, args...), answer
	}
	if len(t.ids) == 0 {
		return nil, ""
	}
	id := t.ids[len(t.ids)-1-o.hold%len(t.ids)]
	h := m.holds[id]
	if h != nil && o.owner {
		o.buyer = h.buyer
	}
	switch o.name {
	case "confirm":
		if h == nil || (h.state != 'p' && h.state != 's' && h.state != 'b') {
			return nil, "" // Postgres tickets only what was pinned; settle_test.go has the rest
		}
		if o.generation == 2 && h.state != 'p' { // not too often, or too little would ever be sold
			return newOperation("refund", onsale.HoldID(id), onsale.BuyerID(h.buyer), "unused"), m.refund(id)
		}
		t.bought[id] = t.bought[id].or(h)
		has := t.bought[id].less(o.key)
		return newOperation("confirm", onsale.HoldID(id), onsale.BuyerID(h.buyer), has.lines(t.h.layout)), m.confirm(id, has.seats, has.general)
	case "free":
		return newOperation("free", onsale.HoldID(id), "", "0"), m.free1(id)
	}
	return newOperation(o.name, onsale.HoldID(id), onsale.BuyerID(o.buyer), strconv.Itoa(o.generation)), m.owner(o.name, id, o.buyer, o.generation)
}

// plainReply is a reply without what the model doesn't say: the place and counts of
// a refusal, the record of an owner's operation, the order of a hold's lines.
func plainReply(reply string) string {
	f := strings.Fields(reply)
	switch {
	case f[0] == "ended":
		return reply
	case f[0] != "ok" || len(f) < 6:
		return f[0]
	}
	var parts []string
	for line := range strings.SplitSeq(f[5], ",") {
		section, offsets, picked := strings.Cut(line, "@")
		_ = section
		if !picked {
			parts = append(parts, line)
			continue
		}
		for offset := range strings.SplitSeq(offsets, ".") {
			parts = append(parts, strings.TrimRight(offset, "wc"))
		}
	}
	sort.Strings(parts)
	return strings.Join(f[:5], " ") + " " + strings.Join(parts, ",")
}

// compare sets the whole of Redis beside the model.
func (t *trial) compare() string {
	view, err := t.h.desk.Inspect(context.Background(), t.h.layout)
	if err != nil {
		return err.Error()
	}
	m := t.model
	if string(view.Stock.Seats) != string(m.seats) {
		return fmt.Sprintf("seats in redis %s, in the model %s", view.Stock.Seats, m.seats)
	}
	for _, s := range t.h.layout.Sections() {
		c := view.Stock.Counts[s.Index]
		if c.Total() != s.Capacity || min(c.Available, c.Held, c.Pinned, c.Sold) < 0 {
			return fmt.Sprintf("%s: counts %+v of %d", s.ID, c, s.Capacity)
		}
		want := m.free[s.Index]
		if s.Kind == onsale.Reserved {
			want = int64(m.available(&modelHold{}, s))
		}
		if c.Available != want {
			return fmt.Sprintf("%s: %d available in redis, %d in the model", s.ID, c.Available, want)
		}
	}
	for name, b := range m.buyers {
		if got := view.Buyers[onsale.BuyerID(name)]; got != int64(b.n) {
			return fmt.Sprintf("%s has %d in redis, %d in the model", name, got, b.n)
		}
	}
	for _, h := range view.Holds {
		if want := m.holds[string(h.ID)]; want != nil && h.State == onsale.HoldSold && onsale.Quantity(h.Lines) != want.quantity() {
			return fmt.Sprintf("%s has %d in redis, %d in the model", h.ID, onsale.Quantity(h.Lines), want.quantity())
		}
	}
	if len(view.Holds) != len(m.holds) {
		return fmt.Sprintf("%d holds in redis, %d in the model", len(view.Holds), len(m.holds))
	}
	return ""
}

// drawStep draws a call of one to ten operations.
func drawStep(r *rapid.T) step {
	s := step{advance: rapid.SampledFrom([]int64{0, 0, 0, 1, 900, 5000, 9999, 10_000, 61_000}).Draw(r, "advance")}
	for range rapid.IntRange(1, 10).Draw(r, "operations") {
		s.ops = append(s.ops, drawOp(r))
	}
	return s
}

func drawOp(r *rapid.T) trialOp {
	return trialOp{
		name: rapid.SampledFrom([]string{"hold", "hold", "hold", "hold", "hold", "release", "release", "pin", "extend", "confirm", "free"}).Draw(r, "name"),
		// Few buyers, so that limits, keys and owners meet.
		buyer:      rapid.SampledFrom([]string{"ann", "bob", "cy", "dee", "eve", "flo"}).Draw(r, "buyer"),
		key:        rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(r, "key"),
		asks:       rapid.SliceOfN(rapid.Custom(drawAsk), 1, rapid.SampledFrom([]int{1, 1, 2}).Draw(r, "most asks")).Draw(r, "asks"),
		hold:       rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 3, 5, 8, 13}).Draw(r, "hold"),
		owner:      rapid.IntRange(0, 4).Draw(r, "owner") > 0,
		generation: rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(r, "generation"),
	}
}

func drawAsk(r *rapid.T) onsale.Ask {
	n := rapid.SampledFrom([]int{1, 1, 2, 2, 2, 3, 4}).Draw(r, "n")
	switch rapid.IntRange(0, 5).Draw(r, "kind") {
	case 0:
		return onsale.Ask{Section: rapid.SampledFrom([]string{"floor", "lawn"}).Draw(r, "general"), Quantity: n}
	case 1:
		seats := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A-1", "A-2", "A-5", "B-1", "C-1", "C-2", "C-3", "D-1", "E-2", "E-3", "E-9"}),
			1, 3, rapid.ID[string]).Draw(r, "seats")
		return onsale.Ask{Section: "stand", Seats: seats, Accessible: rapid.Bool().Draw(r, "accessible")}
	case 2:
		price := rapid.SampledFrom([]int64{5000, 8000}).Draw(r, "price")
		return onsale.Ask{Price: &price, Quantity: n}
	case 3:
		return onsale.Ask{Section: "stand", Quantity: n, Wheelchair: rapid.IntRange(1, n).Draw(r, "w"), Split: rapid.Bool().Draw(r, "split")}
	}
	return onsale.Ask{Sections: rapid.SampledFrom([][]string{{"stand"}, {"circle"}, {"circle", "stand"}, {"stand", "lawn"}}).Draw(r, "sections"),
		Quantity: n, Split: rapid.Bool().Draw(r, "split")}
}

func TestRedisDoesWhatTheModelDoes(t *testing.T) {
	for _, orphans := range []bool{false, true} {
		t.Run(fmt.Sprintf("orphans allowed %v", orphans), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) {
				h := newHouse(t, func(e *onsale.Event) { trialEvent(e); e.AllowOrphans = orphans })
				trial := newTrial(h)
				for i := range rapid.IntRange(5, 60).Draw(r, "steps") {
					s := drawStep(r)
					if differs := trial.run(s); differs != "" {
						r.Fatalf("step %d, %+v: %s", i, s, differs)
					}
				}
			})
		})
	}
}
