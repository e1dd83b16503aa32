package holds

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"onsale"
)

func TestFewMirrorsAskOnceASecondEach(t *testing.T) {
	var p pace
	now := time.Unix(2e9, 0)
	for i := range 100 {
		at := now.Add(time.Duration(i) * time.Millisecond * 10)
		if got := p.turn(at, needed); got.Sub(at) != checkEvery {
			t.Errorf("the next turn of mirror %d is after %v", i, got.Sub(at))
		}
	}
}

func TestHoweverManyMirrorsAskRedisNoMoreThanSoOftenAndEvenly(t *testing.T) {
	const mirrors, seconds = 10_000, 60
	for k, most := range map[kind]int{needed: 400, idle: 100} {
		var p pace
		start := time.Unix(2e9, 0)
		asked := map[time.Duration]int{} // by the tenth of a second
		waiting := make(chan time.Time, mirrors)
		for range mirrors {
			waiting <- p.turn(start, k)
		}
		last := start
		for at := range waiting { // in the order of their turns
			if at.Before(last) {
				t.Fatalf("a turn at %v after one at %v", at, last)
			}
			if last = at; at.Sub(start) > seconds*time.Second {
				break
			}
			asked[at.Sub(start)/(time.Second/10)]++
			waiting <- p.turn(at, k)
		}
		for tenth, n := range asked {
			if n > most/10+1 {
				t.Errorf("kind %d: %d asked in tenth %d", k, n, tenth)
			}
		}
		if len(asked) < (seconds-2)*10 {
			t.Errorf("kind %d: they asked in %d of %d tenths of a second", k, len(asked), seconds*10)
		}
	}
}

func TestAMirrorThatIsNeededDoesNotWaitForThoseThatAreNot(t *testing.T) {
	var p pace
	now := time.Unix(2e9, 0)
	for range 10_000 {
		p.turn(now, idle)
	}
	if at := p.turn(now, needed); at.Sub(now) != checkEvery {
		t.Errorf("it waits for %v", at.Sub(now))
	}
}

func TestWhatIsOnSaleOrWatchedIsAskedForMoreOften(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	mirrors := h.mirrors(func(onsale.EventID) {})
	mirrors.View(h.layout, func(*onsale.Stock) {})
	mirrors.mu.Lock()
	mi := mirrors.mirror(h.layout)
	mirrors.mu.Unlock()
	await := func(what string, want kind) {
		t.Helper()
		eventually(t, what, func() bool { return mi.kind() == want })
	}
	sale := func(sale onsale.Sale) {
		t.Helper()
		if err := h.desk.SetSale(t.Context(), h.layout, sale); err != nil {
			t.Fatal(err)
		}
	}
	sale(onsale.SaleClosed)
	await("what is closed is idle", idle)
	stop, err := mirrors.Watch(t.Context(), h.layout, deaf{})
	if err != nil {
		t.Fatal(err)
	}
	await("somebody looks at it", needed)
	stop()
	await("nobody looks any more", idle)
	sale(onsale.SaleOpen)
	await("its sale is open", needed)
}

// deaf is a listener that does nothing.
type deaf struct{}

func (deaf) Reset(*onsale.Stock) {}
func (deaf) Delta(*onsale.Delta) {}

// BenchmarkMirrorIdle reports what an idle mirrored event costs this process.
func BenchmarkMirrorIdle(b *testing.B) {
	const events, patience = 2_000, 20 * time.Second
	desk := benchDesk(b)
	subscriber := desk.cfg.Client
	mirrors := NewMirrors(desk, subscriber, func(onsale.EventID) {}, quiet())
	b.Cleanup(func() {
		if err := mirrors.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	for b.Loop() {
		before := memory()
		for i := range events {
			h, err := newHall(b, desk, onsale.EventID(fmt.Sprint("hall-", i)), onsale.Section{Kind: onsale.General, Capacity: 1000}, 1)
			if err != nil {
				b.Fatal(err)
			}
			for begun := time.Now(); !mirrors.View(h.layout, func(*onsale.Stock) {}) && time.Since(begun) < patience; {
				runtime.Gosched()
			}
		}
		b.ReportMetric((memory()-before)/events/1024, "KiB/event")
	}
}

func memory() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}
