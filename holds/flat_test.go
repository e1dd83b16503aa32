package holds

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
)

// What a hold costs Redis's main thread must not depend on how full the house is, how
// large it is, or how many events there are. These measure it; they assert nothing,
// since time on a shared machine does not.

// hall is an event to be filled.
type hall struct {
	b        *testing.B
	layout   *onsale.Layout
	straight *Straight
	asks     []onsale.CheckedAsk
	buyers   int // who have asked so far
}

// newHall lays an event of one section, and opens its sale. Each asks for the same.
func newHall(b *testing.B, desk *Desk, id onsale.EventID, section onsale.Section, quantity int) (*hall, error) {
	section.ID, section.Price = "all", 5000
	event := &onsale.Event{ID: id, Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), MaxPerBuyer: 4, HoldSeconds: 1800,
		Epoch: testEpoch, Sections: []onsale.Section{section}}
	if err := event.Complete(); err != nil {
		return nil, err
	}
	h := &hall{b: b, layout: onsale.NewLayout(event)}
	var err error
	if h.asks, err = h.layout.CheckAsks([]onsale.Ask{{Section: "all", Quantity: quantity}}); err != nil {
		return nil, err
	}
	if err := desk.BeginRebuild(b.Context(), h.layout, testEpoch); err != nil {
		return nil, err
	}
	h.straight = desk.Straight(h.layout)
	return h, desk.FinishRebuild(b.Context(), h.layout, testEpoch, onsale.SaleOpen, nil)
}

// newPairs lays rows of seats for a round of a benchmark; each asks for the best two.
func newPairs(b *testing.B, desk *Desk, round, rows, seats int) *hall {
	b.Helper()
	h, err := newHall(b, desk, onsale.EventID(fmt.Sprint("hall-", round)), onsale.Section{Kind: onsale.Reserved, Grid: &onsale.Grid{Rows: rows, Seats: seats}}, 2)
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func benchDesk(b *testing.B) *Desk {
	b.Helper()
	url, namespace := storestest.Redis(b)
	client, err := Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	desk := NewDesk(Config{Client: client, Namespace: namespace, Secret: []byte("test")})
	b.Cleanup(func() {
		if err := desk.Stop(context.Background()); err != nil {
			b.Error(err)
		}
		client.Close()
	})
	return desk
}

// ask has as many buyers ask, all in one call or in one each. All must be granted.
func (h *hall) ask(n int, singly bool) {
	h.b.Helper()
	requests := make([]Request, n)
	for i := range requests {
		h.buyers++
		requests[i] = Request{Buyer: onsale.BuyerID(fmt.Sprint("buy_", h.buyers)), Asks: h.asks, Key: "key"}
	}
	call := func() (int, error) { return h.straight.Together(h.b.Context(), requests) }
	if singly {
		call = func() (int, error) { return h.straight.Singly(h.b.Context(), requests) }
	}
	if granted, err := call(); err != nil || granted != n {
		h.b.Fatalf("%d granted of %d, %v", granted, n, err)
	}
}

// cost is what f costs Redis's main thread, in µs.
func (h *hall) cost(f func()) float64 {
	h.b.Helper()
	var at [2]float64
	for i := range at {
		seconds, err := h.straight.MainThreadSeconds(h.b.Context())
		if err != nil {
			h.b.Fatal(err)
		}
		if at[i] = seconds; i == 0 {
			f()
		}
	}
	return (at[1] - at[0]) * 1e6
}

// fill has n buyers ask, in calls of a batch, and returns what that costs each.
func (h *hall) fill(n int, singly bool) float64 {
	h.b.Helper()
	return h.cost(func() {
		for left := n; left > 0; left -= min(left, maxBatch) {
			h.ask(min(left, maxBatch), singly)
		}
	}) / float64(n)
}

func BenchmarkHoldFromEmptyToFull(b *testing.B) {
	const rows, seats = 400, 50
	const pairs, part = rows * seats / 2, rows * seats / 2 / 20
	desk := benchDesk(b)
	var all, first, last float64
	rounds := 0
	for b.Loop() {
		h := newPairs(b, desk, rounds, rows, seats)
		f := h.fill(part, false)
		middle := h.fill(pairs-2*part, false)
		l := h.fill(part, false)
		first, last, all = first+f, last+l, all+(f*part+middle*(pairs-2*part)+l*part)/pairs
		rounds++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(all/float64(rounds), "µs/hold")
	b.ReportMetric(first/float64(rounds), "µs/hold-first-5%")
	b.ReportMetric(last/float64(rounds), "µs/hold-last-5%")
	b.ReportMetric(last/first, "full/empty")
}

func BenchmarkHoldBySeats(b *testing.B) {
	const seats = 200 // a row's
	for _, rows := range []int{5, 50, 500} {
		for _, way := range []string{"together", "singly"} {
			b.Run(fmt.Sprintf("seats=%d/%s", rows*seats, way), func(b *testing.B) {
				desk := benchDesk(b)
				total, rounds := 0.0, 0
				for b.Loop() {
					h := newPairs(b, desk, rounds, rows, seats)
					total += h.fill(rows*seats/2, way == "singly")
					rounds++
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(total/float64(rounds), "µs/hold")
			})
		}
	}
}

func BenchmarkHoldByEvents(b *testing.B) {
	const calls, together, lanes = 10_000, 4, 16
	for _, events := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			desk := benchDesk(b)
			halls := make([]*hall, events)
			var wg sync.WaitGroup
			for lane := range lanes {
				wg.Go(func() {
					for i := lane; i < events; i += lanes {
						var err error
						halls[i], err = newHall(b, desk, onsale.EventID(fmt.Sprint("hall-", i)), onsale.Section{Kind: onsale.General, Capacity: onsale.MaxCapacity}, 1)
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if b.Failed() {
				return
			}
			total, rounds := 0.0, 0
			for b.Loop() {
				total += halls[0].cost(func() {
					for i := range calls {
						halls[i%events].ask(together, false)
					}
				}) / (calls * together)
				rounds++
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(total/float64(rounds), "µs/hold")
		})
	}
}
