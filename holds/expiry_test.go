package holds

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

// process is what one process has: a desk and mirrors on connections of its own.
type process struct {
	desk *Desk
	*returns
}

// processes starts some on the house's event; each watches it, and sweeps.
func (h *house) processes(n int) []*process {
	h.t.Helper()
	url, _ := storestest.Redis(h.t)
	all := make([]*process, n)
	for i := range all {
		client, subscriber := connect(h.t, url), connect(h.t, url)
		desk := NewDesk(Config{Client: client, Namespace: h.desk.cfg.Namespace, Secret: []byte("test")})
		mirrors := NewMirrors(desk, subscriber, func(onsale.EventID) {}, quiet())
		h.t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := mirrors.Stop(ctx); err != nil {
				h.t.Error(err)
			}
			if err := desk.Stop(ctx); err != nil {
				h.t.Error(err)
			}
		})
		p := &process{desk: desk, returns: &returns{seats: map[int]int{}, at: map[int]time.Time{}}}
		stop, err := mirrors.Watch(h.t.Context(), h.layout, p)
		if err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(stop)
		eventually(h.t, "the process knows the stock", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.stock != nil })
		all[i] = p
	}
	return all
}

// returns counts what a listener sees come back.
type returns struct {
	mu    sync.Mutex
	stock *onsale.Stock     // under mu
	floor int64             // under mu; admissions that became available again, by the counts
	seats map[int]int       // under mu; offset → how often it became available again
	at    map[int]time.Time // under mu; offset → when that was heard
}

func (r *returns) Reset(s *onsale.Stock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.become(s.Clone())
}

func (r *returns) Delta(d *onsale.Delta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.stock.Clone()
	next.Apply(d)
	r.become(next)
}

// become counts what is new. The caller has mu.
func (r *returns) become(next *onsale.Stock) {
	before := r.stock
	r.stock = next
	if before == nil {
		return
	}
	r.floor += max(0, next.Counts[0].Available-before.Counts[0].Available)
	for offset, letter := range next.Seats {
		if letter == onsale.SeatAvailable && before.Seats[offset] == onsale.SeatHeld {
			r.seats[offset]++
			r.at[offset] = time.Now()
		}
	}
}

func TestWhatExpiresComesBackOnceHoweverManyProcessesSweep(t *testing.T) {
	t.Parallel()
	const many = reapMost + 40 // more than one sweep puts back
	h := newHouse(t, func(e *onsale.Event) {
		e.MaxPerBuyer, e.Sections[0].Capacity = 2, 2*many
		e.Sections[1].Grid = &onsale.Grid{Rows: 1, Seats: many}
	})
	h.setMeta("hold_ms", 400)
	all := h.processes(4)
	due := make([]time.Time, many) // by the seat's offset, which is its number less one
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			hold, err := h.hold(onsale.BuyerID(fmt.Sprint("buy_", i)), "", floor(1), stand(fmt.Sprint("A-", i+1)))
			if err != nil {
				t.Error(err)
				return
			}
			due[i] = hold.ExpiresAt
		})
	}
	wg.Wait()
	for _, p := range all {
		eventually(t, "every process sees the house empty", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.seats) == many && p.stock.Counts[0].Available == 2*many && p.stock.Counts[1].Available == many
		})
	}
	h.wantCounts("floor", onsale.Counts{Available: 2 * many})
	h.wantCounts("stand", onsale.Counts{Available: many})
	for i, p := range all {
		p.mu.Lock()
		lags := make([]time.Duration, 0, many)
		for offset, n := range p.seats {
			if n != 1 {
				t.Errorf("process %d: seat %d came back %d times", i, offset, n)
			}
			lags = append(lags, p.at[offset].Sub(due[offset]))
		}
		p.mu.Unlock()
		slices.Sort(lags)
		if lags[0] < 0 {
			t.Errorf("process %d: a seat came back %v before it was due", i, -lags[0])
		}
		t.Logf("process %d: what expires is announced %v after it was due (p50), %v (most)", i, lags[len(lags)/2], lags[len(lags)-1])
	}
}

// A process that sweeps late, or twice, or together with all others, changes nothing
// that was not due.
func TestSweepsAtTheSameMomentPutBackEachHoldOnce(t *testing.T) {
	t.Parallel()
	const many, sweepers = 2*reapMost + 10, 8
	h := newHouse(t, func(e *onsale.Event) { e.Sections[0].Capacity = many + 1 })
	all := h.processes(sweepers)
	for i := range many {
		h.mustHold(onsale.BuyerID(fmt.Sprint("buy_", i)), floor(1))
	}
	h.setMeta("hold_ms", 2*time.Hour.Milliseconds())
	h.mustHold("buy_kept", floor(1))
	h.setMeta("clock", time.Now().Add(time.Hour).UnixMilli()) // all but that one are due now
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(func() {
			for range 4 {
				if err := p.desk.batcher(h.layout.Event.ID, testEpoch).sweep(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	h.wantCounts("floor", onsale.Counts{Available: many, Held: 1})
	for i, p := range all {
		eventually(t, "all is told", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.stock.Counts[0].Available == many
		})
		p.mu.Lock()
		if p.floor != many {
			t.Errorf("process %d saw %d come back of %d", i, p.floor, many)
		}
		p.mu.Unlock()
	}
}
