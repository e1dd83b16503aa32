package holds

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"onsale"
)

// folder folds what it is told into a stock of its own.
type folder struct {
	t      *testing.T
	mu     sync.Mutex
	stock  *onsale.Stock // under mu
	resets int           // under mu
}

func (f *folder) Reset(s *onsale.Stock) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stock = s.Clone()
	f.resets++
}

func (f *folder) Delta(d *onsale.Delta) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stock.Apply(d) {
		f.t.Errorf("told %+v at seq %d of epoch %d", d, f.stock.Seq, f.stock.Epoch)
	}
}

func (f *folder) has(want *onsale.Stock) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stock != nil && f.stock.Epoch == want.Epoch && f.stock.Seq == want.Seq && f.stock.Sale == want.Sale &&
		reflect.DeepEqual(f.stock.Counts, want.Counts) && string(f.stock.Seats) == string(want.Seats)
}

func (h *house) mirrors(onAmiss func(onsale.EventID)) *Mirrors {
	m := NewMirrors(h.desk, h.client, onAmiss, quiet())
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := m.Stop(ctx); err != nil {
			h.t.Error(err)
		}
	})
	return m
}

func (h *house) watch(m *Mirrors) *folder {
	h.t.Helper()
	f := &folder{t: h.t}
	stop, err := m.Watch(h.t.Context(), h.layout, f)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(stop)
	eventually(h.t, "the first reset", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.stock != nil })
	return f
}

func (h *house) stock() *onsale.Stock {
	h.t.Helper()
	s, err := h.desk.Stock(h.t.Context(), h.layout)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestAMirrorEndsAtExactlyRedissView(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.HoldSeconds = 1 })
	m := h.mirrors(func(onsale.EventID) {})
	f := h.watch(m)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			buyer := onsale.BuyerID(fmt.Sprint("buy_", i))
			hold, err := h.hold(buyer, "", stand(fmt.Sprintf("%c-%d", 'A'+i/5, i%5+1)))
			if err != nil {
				t.Error(err)
				return
			}
			switch i % 3 {
			case 0:
				h.sell(hold)
			case 1:
				if err := h.desk.Release(t.Context(), h.layout, hold.ID, buyer, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "the mirror agrees", func() bool { return f.has(h.stock()) })
	if f.resets != 1 {
		t.Errorf("%d resets where no delta was lost", f.resets)
	}
}

func TestExpiryIsAnnouncedWhenNobodyAsks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.HoldSeconds = 1 })
	f := h.watch(h.mirrors(func(onsale.EventID) {}))
	h.mustHold("buy_a", stand("A-1"), floor(2))
	available := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.stock.Seq >= 3 && f.stock.Counts[0].Available == 10 && f.stock.Counts[1].Available == 10 && f.stock.Seats[0] == 'a'
	}
	eventually(t, "the feed shows the seats again", available)
}

func TestANewEpochResetsTheMirror(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	f := h.watch(h.mirrors(func(onsale.EventID) {}))
	h.mustHold("buy_a", floor(2))
	h.rebuild(testEpoch + 1)
	eventually(t, "the mirror has the new epoch", func() bool { return f.has(h.stock()) })
}

func TestALostDeltaIsFoundOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	f := h.watch(h.mirrors(func(onsale.EventID) {}))
	// A desk that publishes elsewhere: its deltas are lost to the mirror.
	mute := NewDesk(h.desk.cfg)
	asks, err := h.layout.CheckAsks([]onsale.Ask{floor(2)})
	if err != nil {
		t.Fatal(err)
	}
	mute.batcher("concert", testEpoch).keys.channel = "nowhere"
	if _, err := eitherHold(t.Context(), mute, h.layout, Request{Buyer: "buy_a", Asks: asks}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mirror reads the stock anew", func() bool { return f.has(h.stock()) })
}

func TestAbsentStockIsReported(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	told := make(chan onsale.EventID, 100)
	f := h.watch(h.mirrors(func(e onsale.EventID) {
		select {
		case told <- e:
		default:
		}
	}))
	k := newKeys(h.desk.cfg.Namespace, "concert")
	if err := h.client.Do(t.Context(), h.client.B().Del().Key(k.all...).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if event := <-told; event != "concert" {
		t.Errorf("told of %q", event)
	}
	h.rebuild(testEpoch + 1)
	eventually(t, "the mirror has the rebuilt stock", func() bool { return f.has(h.stock()) })
}

func TestARestartedRedisIsReportedHoweverWholeItLooks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	told := make(chan onsale.EventID, 100)
	h.watch(h.mirrors(func(e onsale.EventID) {
		select {
		case told <- e:
		default:
		}
	}))
	h.restart()
	if event := <-told; event != "concert" {
		t.Errorf("told of %q", event)
	}
	c, err := h.desk.Condition(t.Context(), "concert")
	if err != nil || c.Whole() || c.SameRun || c.Sale != onsale.SaleOpen {
		t.Errorf("condition %+v, %v", c, err)
	}
}
