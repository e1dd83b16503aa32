package holds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"onsale"
)

// newArena opens an event of many rows on a Redis, for many buyers.
func newArena(t *testing.T, redis string, rows, seats int) *house {
	t.Helper()
	event := &onsale.Event{ID: "arena", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), MaxPerBuyer: 4, Epoch: testEpoch,
		HoldSeconds: 1700, ExtendSeconds: 60, HoldsPerMinute: 100_000,
		Sections: []onsale.Section{{ID: "stand", Kind: onsale.Reserved, Price: 8000, Grid: &onsale.Grid{Rows: rows, Seats: seats}}}}
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, layout: onsale.NewLayout(event), client: connect(t, redis)}
	h.desk = NewDesk(Config{Client: h.client, Namespace: t.Name(), Secret: []byte("test")})
	t.Cleanup(func() {
		if err := h.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h.rebuild(testEpoch)
	return h
}

// fill has so many buyers hold two seats each, one in ten of them alone in its call.
func (h *house) fill(buyers int) {
	h.t.Helper()
	asks, err := h.layout.CheckAsks([]onsale.Ask{best(2)})
	if err != nil {
		h.t.Fatal(err)
	}
	straight := h.desk.Straight(h.layout)
	var batch []Request
	for i := range buyers {
		batch = append(batch, Request{Buyer: onsale.BuyerID(fmt.Sprint("buy_", i)), Asks: asks, Key: "key"})
		if len(batch) < 10 && i%20 >= 2 && i < buyers-1 {
			continue
		}
		if granted, err := straight.Together(h.t.Context(), batch); err != nil || granted != len(batch) {
			h.t.Fatalf("%d granted of %d, %v", granted, len(batch), err)
		}
		batch = nil
	}
}

// disagrees says how a view of one section contradicts itself, "" if it doesn't. With
// holds in flux the others may add up to less than what is counted.
func disagrees(l *onsale.Layout, view *onsale.HoldsView) string {
	section, c := l.Sections()[0], view.Stock.Counts[0]
	whole := view.InFlux == 0
	var held, letters int64
	for _, letter := range view.Stock.Seats {
		if letter == onsale.SeatHeld {
			letters++
		}
	}
	has := map[onsale.BuyerID]int64{}
	for _, hold := range view.Holds {
		if hold.State != onsale.HoldHeld {
			continue
		}
		held += 2
		has[hold.Buyer] += 2
		if !hold.Due.Equal(hold.ExpiresAt) {
			return fmt.Sprintf("hold %s is due at %v, and expires at %v", hold.ID, hold.Due, hold.ExpiresAt)
		}
		for _, seat := range hold.Lines[0].Seats {
			if at, _ := section.Offset(seat); view.Stock.Seats[at] != onsale.SeatHeld {
				return fmt.Sprintf("hold %s has %s, which is %q", hold.ID, seat, view.Stock.Seats[at])
			}
		}
	}
	if c.Total() != section.Capacity || letters != c.Held || held > c.Held || whole && held != c.Held {
		return fmt.Sprintf("%+v, %d seats are held, the holds have %d, %d in flux", c, letters, held, view.InFlux)
	}
	for buyer, n := range has {
		if counted := view.Buyers[buyer]; counted < n || whole && counted != n {
			return fmt.Sprintf("%s has %d in %d holds, %d in flux", buyer, counted, n, view.InFlux)
		}
	}
	return ""
}

// whatRedisDid is how long each command took Redis that named an event's keys, in µs.
func (s *redisServer) whatRedisDid() (times []int64) {
	reply, err := s.ask("SLOWLOG", "GET", "-1")
	if err != nil {
		s.t.Fatal(err)
	}
	entries, err := reply.ToArray()
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range entries {
		entry, err := entries[i].ToArray()
		if err != nil {
			s.t.Fatal(err)
		}
		words, err := entry[3].AsStrSlice()
		if err != nil {
			s.t.Fatal(err)
		}
		took, err := entry[2].AsInt64()
		if err != nil {
			s.t.Fatal(err)
		}
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "{arena}") }) {
			times = append(times, took)
		}
	}
	slices.Sort(times)
	return times
}

func TestInspectingALargeEventKeepsRedisForAPageAtATime(t *testing.T) {
	t.Parallel()
	const buyers = 30_000
	redis := startRedis(t)
	h := newArena(t, redis.url(), 2*buyers/100, 100)
	h.fill(buyers)
	if _, err := h.desk.Inspect(t.Context(), h.layout); err != nil { // Redis knows the scripts from now on
		t.Fatal(err)
	}
	redis.tell("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "100000")
	view, err := h.desk.Inspect(t.Context(), h.layout)
	if err != nil {
		t.Fatal(err)
	}
	redis.tell("CONFIG", "SET", "slowlog-log-slower-than", "-1")
	if len(view.Holds) != buyers || len(view.Buyers) != buyers || view.InFlux != 0 {
		t.Errorf("%d holds, %d buyers, %d in flux", len(view.Holds), len(view.Buyers), view.InFlux)
	}
	if why := disagrees(h.layout, view); why != "" {
		t.Error(why)
	}
	times := redis.whatRedisDid()
	var sum int64
	for _, took := range times {
		sum += took
	}
	t.Logf("%d calls, %d µs in all, half of them up to %d µs, the longest %d µs", len(times), sum, times[len(times)/2], times[len(times)-1])
	// A busy machine may have kept Redis waiting in a few of them.
	if most := times[len(times)*95/100]; len(times) < 3*buyers/inspectPage || most > sum/10 {
		t.Errorf("%d calls, of which one in twenty takes %d µs of %d", len(times), most, sum)
	}
}

func TestAPageHasAboutAsManyHoldsAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	const buyers = 3_000
	h := newArena(t, startRedis(t).url(), 2*buyers/100, 100)
	h.fill(buyers)
	in := inspection{desk: h.desk, layout: h.layout, keys: newKeys(h.desk.cfg.Namespace, h.layout.Event.ID)}
	seen := map[string]foundHold{}
	for cursor, pages := "0", 0; pages == 0 || cursor != "0"; pages++ {
		page := map[string]foundHold{}
		var err error
		if cursor, err = in.page(t.Context(), cursor, page); err != nil {
			t.Fatal(err)
		}
		if len(page) > 2*inspectPage {
			t.Errorf("a page has %d holds", len(page))
		}
		for id, hold := range page {
			seen[id] = hold
		}
	}
	if len(seen) != buyers {
		t.Errorf("%d of %d holds are in the pages", len(seen), buyers)
	}
}

// storm has buyers release their holds, hold again and extend, until ctx ends.
func (h *house) storm(ctx context.Context, lane, lanes, buyers int) error {
	asks, err := h.layout.CheckAsks([]onsale.Ask{best(2)})
	if err != nil {
		return err
	}
	for i := lane; ; i += lanes {
		buyer := onsale.BuyerID(fmt.Sprint("buy_", i%buyers))
		key := "key"
		if round := i / buyers; round > 0 {
			key += strconv.Itoa(round)
		}
		hold, err := eitherHold(ctx, h.desk, h.layout, Request{Buyer: buyer, Asks: asks, Key: key})
		if err == nil && i%3 == 0 {
			_, err = h.desk.Extend(ctx, h.layout, hold.ID, buyer, 0)
		} else if err == nil {
			err = h.desk.Release(ctx, h.layout, hold.ID, buyer, 0)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.As(err, new(*onsale.Error)) {
			return err
		}
	}
}

func TestWhatChangesWhileAnEventIsInspectedIsLeftOutAndTold(t *testing.T) {
	t.Parallel()
	const buyers, lanes, views = 1_000, 4, 5
	h := newArena(t, startRedis(t).url(), 40, 100)
	h.fill(buyers)
	ctx, stop := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	for lane := range lanes {
		storm.Go(func() {
			if err := h.storm(ctx, lane, lanes, buyers); err != nil {
				t.Error(err)
			}
		})
	}
	inFlux, judged := 0, 0
	eventually(t, "views with holds in flux", func() bool {
		view, err := h.desk.Inspect(t.Context(), h.layout)
		if err != nil {
			t.Fatal(err)
		}
		if why := disagrees(h.layout, view); why != "" {
			t.Error(why)
		}
		if view.InFlux > 0 {
			inFlux++
			judged += len(view.Holds)
		}
		return inFlux >= views
	})
	stop()
	storm.Wait()
	if judged == 0 {
		t.Error("no hold was judged in any of them")
	}
	view, err := h.desk.Inspect(t.Context(), h.layout)
	if err != nil || view.InFlux != 0 {
		t.Fatalf("%v after the storm, %v", view, err)
	}
	if why := disagrees(h.layout, view); why != "" {
		t.Error(why)
	}
}
