package holds

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"onsale"
	"onsale/internal/stores/storestest"
)

// A storm is a short history of many buyers who are at it at once, through several
// desks as through several processes, on few seats and places, in holds that live
// for milliseconds, over connections that break. Afterwards it is asked whether
// there is an order in which all that was answered is true: for each seat, each
// general section and each hold by itself. See porcupine_model_test.go.
const (
	stormDesks   = 3
	stormBuyers  = 8
	stormRounds  = 12
	stormHold    = 6 * time.Millisecond
	stormFloor   = 5
	stormCuts    = 4 // broken connections, and requests given up, in a storm: each makes the question harder
	decideWithin = 20 * time.Second
)

type storm struct {
	h       *house
	desks   []*Desk
	cutters []*cutter

	mu     sync.Mutex
	deeds  map[string][]porcupine.Operation // under mu; by thing
	seen   map[string]int                   // under mu; how often each kind of answer was given
	latest onsale.Hold                      // under mu; somebody's, for others to meddle with
	cuts   int                              // under mu
	wrong  []string                         // under mu; answers that can't be
}

// newStorm lays a floor and a row of five seats. Each desk has its own connection.
func newStorm(t *testing.T) *storm {
	h := newHouse(t, func(e *onsale.Event) {
		e.MaxPerBuyer, e.HoldsPerMinute = onsale.MaxPerBuyer, 1_000_000
		e.Sections[0].Capacity, e.Sections[1].Grid.Rows = stormFloor, 1
	})
	s := &storm{h: h, deeds: map[string][]porcupine.Operation{}, seen: map[string]int{}}
	h.setMeta("hold_ms", stormHold.Milliseconds())
	url, _ := storestest.Redis(t)
	for range stormDesks {
		c := newCutter(t, url)
		desk := NewDesk(Config{Client: connect(t, c.url), Namespace: h.desk.cfg.Namespace, Secret: []byte("test")})
		t.Cleanup(func() {
			if err := desk.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		s.desks, s.cutters = append(s.desks, desk), append(s.cutters, c)
	}
	return s
}

// setMeta writes what Onsale itself would not: a hold time of milliseconds, a clock that is ahead.
func (h *house) setMeta(field string, value int64) {
	h.t.Helper()
	key := newKeys(h.desk.cfg.Namespace, h.layout.Event.ID).all[0]
	if err := h.client.Do(h.t.Context(), h.client.B().Hset().Key(key).FieldValue().FieldValue(field, strconv.FormatInt(value, 10)).Build()).Error(); err != nil {
		h.t.Fatal(err)
	}
}

// run has all buyers at it and returns what is wrong with what they were told, "" if nothing.
func (s *storm) run(seed uint64) string {
	var wg sync.WaitGroup
	for i := range stormBuyers {
		wg.Go(func() {
			b := &stormBuyer{storm: s, rand: rand.New(rand.NewPCG(seed, uint64(i))), id: onsale.BuyerID(fmt.Sprint("buy_", i))}
			for round := range stormRounds {
				b.round(fmt.Sprint("key-", round))
			}
		})
	}
	wg.Wait()
	if len(s.wrong) > 0 {
		return s.wrong[0]
	}
	for thing, history := range s.deeds {
		model := poolModel
		if strings.HasPrefix(thing, "hold") {
			model = lifeModel
		}
		if verdict := porcupine.CheckOperationsTimeout(model, history, decideWithin); verdict != porcupine.Ok {
			return fmt.Sprintf("%s: %s\n%s", thing, verdict, told(history))
		}
	}
	return ""
}

// told is a history to read.
func told(history []porcupine.Operation) string {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, op := range history {
		d, v := op.Input.(deed), op.Output.(verdict)
		fmt.Fprintf(&text, "  %d–%d %s %d by …%s foreign %v: unknown %v %s %s until %d, %d left\n", d.from, d.to, d.name, d.n,
			d.hold[max(0, len(d.hold)-4):], d.foreign, v.unknown, v.code, v.state, v.deadline, v.left)
	}
	return text.String()
}

// stormBuyer is one buyer, who does one thing after the other.
type stormBuyer struct {
	*storm
	rand *rand.Rand
	id   onsale.BuyerID
}

func (b *stormBuyer) round(key string) {
	asks := b.asks()
	hold, v := b.hold(key, asks)
	for again := 0; again < 2 && (v.unknown || b.rand.IntN(5) == 0); again++ {
		hold, v = b.hold(key, asks)
	}
	if b.rand.IntN(4) == 0 {
		b.meddle()
	}
	if v.unknown || v.code != "" {
		return
	}
	b.mu.Lock()
	b.latest = hold
	b.mu.Unlock()
	switch b.rand.IntN(8) {
	case 0, 1, 2:
		b.release(hold, b.id)
	case 3, 4, 5:
		b.buy(hold)
	default: // walks away
	}
}

func (b *stormBuyer) asks() []onsale.Ask {
	seat := func() string { return fmt.Sprint("A-", 1+b.rand.IntN(5)) }
	switch b.rand.IntN(5) {
	case 0:
		return []onsale.Ask{floor(1 + b.rand.IntN(3))}
	case 1:
		return []onsale.Ask{floor(1), stand(seat())}
	case 2:
		return []onsale.Ask{best(1)}
	case 3:
		first, second := seat(), seat()
		if first != second {
			return []onsale.Ask{stand(first, second)}
		}
	}
	return []onsale.Ask{stand(seat())}
}

// did times an operation through one of the desks, and now and then breaks its
// connection or gives it up.
func (b *stormBuyer) did(name string, d *deed, do func(context.Context, *Desk) error) (v verdict, op porcupine.Operation) {
	i := b.rand.IntN(stormDesks)
	ctx, cancel := b.h.t.Context(), context.CancelFunc(func() {})
	switch chance := b.rand.IntN(40); {
	case chance == 0 && b.mayCut():
		b.cutters[i].swallow.Add(1) // the call is made again
	case chance == 1 && b.mayCut():
		b.cutters[i].swallow.Add(callTries)
	case chance == 2 && b.mayCut():
		ctx, cancel = context.WithTimeout(ctx, time.Duration(b.rand.IntN(500))*time.Microsecond)
	case chance < 6: // a sweep comes between
		// If the connection is broken, what follows finds a new one.
		_ = b.desks[i].batcher(b.h.layout.Event.ID, testEpoch).sweep()
	}
	defer cancel()
	d.name, d.holdMs = name, stormHold.Milliseconds()
	start := time.Now()
	err := do(ctx, b.desks[i])
	end := time.Now()
	d.from, d.to = start.UnixMilli(), end.UnixMilli()
	v, op.Call, op.Return = verdict{code: onsale.CodeOf(err)}, start.UnixNano(), end.UnixNano()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[name+" "+string(v.code)]++
	switch v.code {
	case onsale.CodeUnavailable:
		v, op.Return = verdict{unknown: true}, never // it may happen any time
	case onsale.CodeInternal:
		b.wrong = append(b.wrong, fmt.Sprintf("%s %s: %v", name, d.hold, err))
	}
	return v, op
}

func (s *storm) mayCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts++
	return s.cuts <= stormCuts
}

// note enters an operation into the histories of the things it touched.
func (s *storm) note(op porcupine.Operation, d deed, v verdict, things map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for thing, n := range things {
		d.n, d.capacity = n, 1
		if thing == "section floor" {
			d.capacity = stormFloor
		}
		op.Input, op.Output = d, v
		s.deeds[thing] = append(s.deeds[thing], op)
	}
	op.Input, op.Output = d, v
	thing := "hold " + string(d.hold)
	s.deeds[thing] = append(s.deeds[thing], op)
}

func things(lines []onsale.Line) map[string]int64 {
	out := map[string]int64{}
	for _, line := range lines {
		if line.Section == "floor" {
			out["section floor"] = int64(line.Quantity)
		}
		for _, seat := range line.Seats {
			out["seat "+seat] = 1
		}
	}
	return out
}

func (b *stormBuyer) hold(key string, asks []onsale.Ask) (hold onsale.Hold, v verdict) {
	checked, err := b.h.layout.CheckAsks(asks)
	if err != nil {
		b.h.t.Error(err)
		return hold, verdict{code: onsale.CodeOf(err)}
	}
	d := deed{hold: b.h.desk.ids.Derive(b.h.layout.Event.ID, testEpoch, b.id, key)}
	var refused error
	v, op := b.did("hold", &d, func(ctx context.Context, desk *Desk) error {
		hold, refused = eitherHold(ctx, desk, b.h.layout, Request{Buyer: b.id, Asks: checked, Key: key})
		return refused
	})
	var touched map[string]int64
	switch {
	case v.unknown:
		touched = b.askedFor(asks)
	case v.code == "":
		v.state, v.deadline, touched = hold.State, hold.ExpiresAt.UnixMilli(), things(hold.Lines)
	default:
		var why *onsale.Error
		if errors.As(refused, &why) && why.Section == "floor" && why.Available != nil {
			v.left, touched = *why.Available, map[string]int64{"section floor": b.askedFor(asks)["section floor"]}
		} else if why != nil {
			touched = things([]onsale.Line{{Seats: why.Seats}})
		}
	}
	b.note(op, d, v, touched)
	return hold, v
}

// askedFor is everything that asks may have taken if nobody knows.
func (b *stormBuyer) askedFor(asks []onsale.Ask) map[string]int64 {
	out := map[string]int64{}
	for _, a := range asks {
		if a.Section == "floor" {
			out["section floor"] = int64(a.Quantity)
		} else if a.Seats = slices.Clone(a.Seats); len(a.Seats) == 0 {
			for n := range 5 {
				a.Seats = append(a.Seats, "A-"+strconv.Itoa(n+1))
			}
		}
		for _, seat := range a.Seats {
			out["seat "+seat] = 1
		}
	}
	return out
}

func (b *stormBuyer) release(hold onsale.Hold, who onsale.BuyerID) {
	d := deed{hold: hold.ID, foreign: who != hold.Buyer}
	v, op := b.did("release", &d, func(ctx context.Context, desk *Desk) error {
		return desk.Release(ctx, b.h.layout, hold.ID, who, 0)
	})
	if v.unknown && d.foreign {
		return // it can do nothing
	}
	b.note(op, d, v, things(hold.Lines))
}

// meddle tries to give back what somebody else has.
func (b *stormBuyer) meddle() {
	b.mu.Lock()
	theirs := b.latest
	b.mu.Unlock()
	if theirs.ID != "" && theirs.Buyer != b.id {
		b.release(theirs, b.id)
	}
}

// buy pins the hold, and then its order is declined or, now and then, ticketed.
func (b *stormBuyer) buy(hold onsale.Hold) {
	pinned := verdict{unknown: true}
	for again := 0; pinned.unknown && again < 3; again++ {
		d := deed{hold: hold.ID}
		var op porcupine.Operation
		pinned, op = b.did("pin", &d, func(ctx context.Context, desk *Desk) error {
			_, err := eitherPin(ctx, desk, b.h.layout, hold.ID, b.id, 0)
			return err
		})
		b.note(op, d, pinned, things(hold.Lines))
	}
	if pinned.unknown || pinned.code != "" {
		return
	}
	sold := b.rand.IntN(20) == 0
	for settled := (verdict{unknown: true}); settled.unknown; {
		d := deed{hold: hold.ID}
		name := map[bool]string{true: "confirm", false: "free"}[sold]
		var op porcupine.Operation
		settled, op = b.did(name, &d, func(ctx context.Context, desk *Desk) error {
			return desk.Settle(ctx, b.h.layout, []Settlement{{Hold: hold.ID, Sold: sold, Buyer: b.id, Lines: hold.Lines}})
		})
		b.note(op, d, settled, things(hold.Lines))
	}
}

func TestEveryHistoryIsLinearizablePerSeatSectionAndHold(t *testing.T) {
	t.Parallel()
	const storms = 12
	all := map[string]int{}
	for range storms {
		s, seed := newStorm(t), rand.Uint64()
		if wrong := s.run(seed); wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		for answer, n := range s.seen {
			all[answer] += n
		}
	}
	t.Log(all)
	for _, answer := range []string{"hold ", "hold sold_out", "hold seat_taken", "hold unavailable", "release ", "release hold_ended",
		"release unknown_hold", "pin ", "pin hold_ended", "confirm ", "free "} {
		if all[answer] == 0 {
			t.Errorf("%d storms have tried nothing if none answered %q", storms, answer)
		}
	}
}
