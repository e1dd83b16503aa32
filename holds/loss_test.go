package holds

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

// newPrivateHouse is newHouse on a Redis of its own, to be killed, frozen and starved.
func newPrivateHouse(t *testing.T, change func(*onsale.Event)) (*house, *stores.Redis) {
	t.Helper()
	h, redis := newHouse(t, change), storestest.PrivateRedis(t)
	h.client = connect(t, redis.URL())
	cfg := h.desk.cfg
	cfg.Client = h.client
	h.desk = NewDesk(cfg)
	t.Cleanup(func() {
		if err := h.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h.rebuild(testEpoch)
	return h, redis
}

// tell sends Redis a command that must succeed.
func (h *house) tell(words ...string) string {
	h.t.Helper()
	reply := h.client.Do(h.t.Context(), h.client.B().Arbitrary(words...).Build())
	if err := reply.Error(); err != nil {
		h.t.Fatalf("%s: %v", words, err)
	}
	text, _ := reply.ToString() // an answer of another kind is nobody's question
	return text
}

// dataMemory is what of the memory that Redis counts against maxmemory is not its
// clients' buffers.
func (h *house) dataMemory() int {
	h.t.Helper()
	n := map[string]int{}
	for line := range strings.Lines(h.tell("INFO", "memory")) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_memory" || name == "mem_clients_normal" {
			var err error
			if n[name], err = strconv.Atoi(text); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	return n["used_memory"] - n["mem_clients_normal"]
}

func (h *house) signal(redis *stores.Redis, signal syscall.Signal) {
	h.t.Helper()
	if err := syscall.Kill(redis.PID(), signal); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) kill(redis *stores.Redis) {
	h.t.Helper()
	h.signal(redis, syscall.SIGKILL)
	if err := <-redis.Exited(); err == nil {
		h.t.Error("the killed server tells of no error")
	}
}

func begin(t *testing.T, redis *stores.Redis) {
	t.Helper()
	if err := redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantLater checks that the answer is a 503 that says when to ask again.
func wantLater(t *testing.T, err error, codes ...onsale.Code) {
	t.Helper()
	var e *onsale.Error
	if !errors.As(err, &e) || e.RetryAfter <= 0 || !slices.Contains(codes, e.Code) {
		t.Errorf("%v, want one of %v, with when to ask again", err, codes)
	}
}

// wantWhole checks that everything Redis keeps of the event says the same: counts,
// seats, records, the buyers' sums and both indexes.
func (h *house) wantWhole() *onsale.HoldsView {
	h.t.Helper()
	view, err := h.desk.Inspect(h.t.Context(), h.layout)
	if err != nil {
		h.t.Fatal(err)
	}
	counts := make([]onsale.Counts, len(h.layout.Sections()))
	seats, buyers := h.layout.Empty(), map[onsale.BuyerID]int64{}
	for i, s := range h.layout.Sections() {
		counts[i].Available = s.Capacity
	}
	for _, r := range view.Holds {
		letter := onsale.SeatHeld
		switch r.State {
		case onsale.HoldReleased, onsale.HoldExpired:
			continue
		case onsale.HoldPinned:
			letter = onsale.SeatPinned
		case onsale.HoldSold:
			letter = onsale.SeatSold
		}
		if r.Due.IsZero() != (letter != onsale.SeatHeld) || r.PinnedAt.IsZero() != (letter != onsale.SeatPinned) {
			h.t.Errorf("hold %s is %s, due %v, pinned %v", r.ID, r.State, r.Due, r.PinnedAt)
		}
		buyers[r.Buyer] += int64(onsale.Quantity(r.Lines))
		for _, line := range r.Lines {
			s := h.layout.Section(line.Section)
			c := &counts[s.Index]
			c.Available -= int64(line.Quantity)
			*map[byte]*int64{onsale.SeatHeld: &c.Held, onsale.SeatPinned: &c.Pinned, onsale.SeatSold: &c.Sold}[letter] += int64(line.Quantity)
			for _, seat := range line.Seats {
				offset, _ := s.Offset(seat)
				if !onsale.IsAvailable(seats[offset]) {
					h.t.Errorf("seat %s is two holds'", seat)
				}
				seats[offset] = letter
			}
		}
	}
	if !reflect.DeepEqual(counts, view.Stock.Counts) || string(seats) != string(view.Stock.Seats) {
		h.t.Fatalf("the holds say %+v %s, the stock %+v %s", counts, seats, view.Stock.Counts, view.Stock.Seats)
	}
	for buyer, n := range view.Buyers {
		if n != buyers[buyer] {
			h.t.Errorf("buyer %s has %d admissions, and is written down with %d", buyer, buyers[buyer], n)
		}
	}
	return view
}

func TestBuyersDontNoticeThatRedisForgotItsScripts(t *testing.T) {
	t.Parallel()
	h, _ := newPrivateHouse(t, func(e *onsale.Event) { e.Sections[0].Capacity = 400 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				if _, err := h.hold(onsale.BuyerID(fmt.Sprintf("buy_%d_%d", i, j)), "", floor(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	flushes := 0
	for flushing := true; flushing; flushes++ {
		select {
		case <-done:
			flushing = false
		default:
			h.tell("SCRIPT", "FLUSH")
		}
	}
	h.wantWhole()
	h.wantCounts("floor", onsale.Counts{Held: 400})
	if flushes < 2 {
		t.Error("the scripts were not forgotten meanwhile")
	}
}

func TestWithoutMemoryNothingIsHalfWrittenAndNothingLost(t *testing.T) {
	t.Parallel()
	h, _ := newPrivateHouse(t, func(e *onsale.Event) { e.ExtendSeconds = 60 })
	held, pinned, toSell := h.mustHold("buy_a", stand("A-1")), h.mustHold("buy_b", stand("A-2"), floor(1)), h.mustHold("buy_c", best(1))
	ctx, l := t.Context(), h.layout
	if _, err := eitherPin(ctx, h.desk, l, pinned.ID, "buy_b", 0); err != nil {
		t.Fatal(err)
	}
	sold := Settlement{Hold: toSell.ID, Sold: true, Buyer: toSell.Buyer, Lines: toSell.Lines}
	// What begins with a deletion is done: it frees more than it takes.
	each := []struct {
		name string
		done bool
		ask  func() error
	}{
		{"hold", false, func() error { _, err := h.hold("buy_d", "key", floor(2), best(2)); return err }},
		{"release", false, func() error { return h.desk.Release(ctx, l, held.ID, "buy_a", 0) }},
		{"extend", false, func() error { _, err := h.desk.Extend(ctx, l, held.ID, "buy_a", 0); return err }},
		{"free", false, func() error { return h.desk.Settle(ctx, l, []Settlement{{Hold: pinned.ID}}) }},
		{"confirm", true, func() error { return h.desk.Settle(ctx, l, []Settlement{sold}) }},
		{"sale", false, func() error { return h.desk.SetSale(ctx, l, onsale.SalePaused) }},
		{"pin", true, func() error { _, err := eitherPin(ctx, h.desk, l, held.ID, "buy_a", 0); return err }},
	}
	h.tell("CONFIG", "SET", "maxmemory", "1")
	for _, op := range each {
		before := h.wantWhole().Stock.Seq
		err := op.ask()
		if after := h.wantWhole().Stock.Seq; (after > before) != op.done || (err == nil) != op.done {
			t.Errorf("%s without memory: seq %d to %d, %v", op.name, before, after, err)
		}
		if err != nil {
			wantLater(t, err, onsale.CodeUnavailable)
		}
	}
	if _, err := h.desk.Look(ctx, l, held.ID, "buy_a"); err != nil {
		t.Errorf("what only reads needs no memory: %v", err)
	}
	h.tell("CONFIG", "SET", "maxmemory", "0")
	for _, op := range each {
		if err := op.ask(); err != nil && onsale.CodeOf(err) != onsale.CodeHoldPinned { // held is, by now
			t.Errorf("%s, with memory again: %v", op.name, err)
		}
	}
	h.wantWhole()
	h.wantCounts("floor", onsale.Counts{Available: 8, Held: 2})
	h.wantCounts("stand", onsale.Counts{Available: 6, Held: 2, Pinned: 1, Sold: 1})
}

// Redis looks whether it has memory before a call's first write that takes some, and
// never later in the call.
func TestACallThatRunsOutOfMemoryHalfwayIsWhole(t *testing.T) {
	t.Parallel()
	h, _ := newPrivateHouse(t, func(e *onsale.Event) {
		e.Sections[0].Capacity, e.Sections[1].Grid, e.MaxPerBuyer = 100_000, &onsale.Grid{Rows: 100, Seats: 250}, 10
	})
	granted, crossed := 0, 0
	for round := 0; crossed == 0; round++ {
		if round == 60 {
			t.Fatal("no call ran out of memory halfway: nothing was tested")
		}
		limit := h.dataMemory() + 50_000*(round%10+1) // a few calls' worth
		h.tell("CONFIG", "SET", "maxmemory", strconv.Itoa(limit))
		for calls, full := 0, false; !full; calls++ {
			if calls == 100 {
				t.Fatal("more is granted than there is memory for")
			}
			n := h.crowd()
			full = n < maxBatch
			granted += n
		}
		if h.dataMemory() > limit {
			crossed++
		}
		h.tell("CONFIG", "SET", "maxmemory", "0")
		if view := h.wantWhole(); len(view.Holds) != granted {
			t.Fatalf("%d holds, %d were granted", len(view.Holds), granted)
		}
	}
}

// crowd has maxBatch buyers ask at once. It returns how many got a hold; the others
// must have been asked to come later.
func (h *house) crowd() (granted int) {
	h.t.Helper()
	var got atomic.Int64
	var wg sync.WaitGroup
	for range maxBatch {
		wg.Go(func() {
			if _, err := h.hold(onsale.NewBuyerID(), "", floor(1), best(1)); err != nil {
				wantLater(h.t, err, onsale.CodeUnavailable)
				return
			}
			got.Add(1)
		})
	}
	wg.Wait()
	return int(got.Load())
}

func TestAReadOnlyRedisIsAnswered503AndGoesOnAfterwards(t *testing.T) {
	t.Parallel()
	h, _ := newPrivateHouse(t, nil)
	h.tell("REPLICAOF", "127.0.0.1", "1")
	_, err := h.hold("buy_a", "key", stand("A-1"))
	wantLater(t, err, onsale.CodeUnavailable)
	wantLater(t, h.desk.SetSale(t.Context(), h.layout, onsale.SalePaused), onsale.CodeUnavailable)
	h.tell("REPLICAOF", "NO", "ONE")
	if _, err := h.hold("buy_a", "key", stand("A-1")); err != nil {
		t.Fatal(err)
	}
	h.wantWhole()
	h.wantCounts("stand", onsale.Counts{Available: 9, Held: 1})
}

func TestAHoldWhoseAnswerDidNotComeIsFoundByAskingAgain(t *testing.T) {
	t.Parallel()
	h, redis := newPrivateHouse(t, nil)
	asks, err := h.layout.CheckAsks([]onsale.Ask{stand("A-1")})
	if err != nil {
		t.Fatal(err)
	}
	h.signal(redis, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout+time.Second)
	defer cancel()
	_, err = eitherHold(ctx, h.desk, h.layout, Request{Buyer: "buy_a", Asks: asks, Key: "key"})
	wantLater(t, err, onsale.CodeUnavailable)
	h.signal(redis, syscall.SIGCONT)
	var ids [2]onsale.HoldID
	for i := range ids {
		again, err := h.hold("buy_a", "key", stand("A-1"))
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = again.ID
	}
	if ids[0] != ids[1] {
		t.Errorf("the same key gave %v", ids)
	}
	h.wantWhole()
	h.wantCounts("stand", onsale.Counts{Available: 9, Held: 1})
}

func TestARedisThatStartsEmptyRefusesUntilItIsLaid(t *testing.T) {
	t.Parallel()
	h, redis := newPrivateHouse(t, nil)
	sold, undecided := h.mustHold("buy_a", stand("A-1")), h.mustHold("buy_a", stand("A-2"), floor(2))
	h.sell(sold)
	h.kill(redis)
	_, err := h.hold("buy_b", "key", stand("A-1"))
	wantLater(t, err, onsale.CodeUnavailable)
	begin(t, redis)
	_, err = h.hold("buy_b", "key", stand("A-1"))
	wantLater(t, err, onsale.CodeUnavailable, onsale.CodeRecovering)
	h.layAgain(testEpoch+1, Kept{Hold: sold.ID, Buyer: "buy_a", Sold: true, Lines: sold.Lines},
		Kept{Hold: undecided.ID, Buyer: "buy_a", Lines: undecided.Lines})
	_, err = h.hold("buy_b", "key", stand("A-1"))
	wantCode(t, err, onsale.CodeSeatTaken)
	_, err = h.hold("buy_a", "", floor(1))
	wantCode(t, err, onsale.CodeBuyerLimit)
	h.wantWhole()
	h.wantCounts("floor", onsale.Counts{Available: 8, Pinned: 2})
	h.wantCounts("stand", onsale.Counts{Available: 8, Pinned: 1, Sold: 1})
}

func TestARedisThatCameBackWithOldDataGrantsNothing(t *testing.T) {
	t.Parallel()
	h, redis := newPrivateHouse(t, nil)
	h.tell("SAVE")
	sold := h.mustHold("buy_a", stand("A-1"))
	h.sell(sold)
	h.kill(redis)
	begin(t, redis)
	_, err := h.hold("buy_b", "key", stand("A-1")) // which the old data say is available
	wantLater(t, err, onsale.CodeUnavailable, onsale.CodeRecovering)
	h.layAgain(testEpoch+1, Kept{Hold: sold.ID, Buyer: "buy_a", Sold: true, Lines: sold.Lines})
	_, err = h.hold("buy_b", "key", stand("A-1"))
	wantCode(t, err, onsale.CodeSeatTaken)
	h.wantWhole()
}
