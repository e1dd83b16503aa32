package realtime

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onsale"
	"onsale/internal/feedclient"
)

func TestMain(m *testing.M) {
	// fasthttp's clock for the Date header runs for as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

const patience = 20 * time.Second

// eventually waits until check finds nothing wrong.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(2 * time.Millisecond)
	}
}

type moment struct {
	epoch onsale.Epoch
	seq   uint64
	sale  onsale.Sale // it alone may change while the rest stands
}

// house is the truth about one event, and the Source of it, as a test drives it.
type house struct {
	layout *onsale.Layout

	mu        sync.Mutex
	stock     *onsale.Stock                   // under mu
	listeners map[Listener]bool               // under mu
	history   map[moment]*onsale.FeedSnapshot // under mu: everything that was ever true
	failure   error                           // under mu: what Watch answers
	watched   int                             // under mu: how often Watch was called
	late      bool                            // under mu: the first Reset comes when tell says
	prints    map[place]uint64                // under mu: instead of history, if it isn't nil: of much more
}

// newHouse returns a house with one stand of the given rows of seats and a floor.
func newHouse(t testing.TB, id onsale.EventID, rows, seats int) *house {
	t.Helper()
	event := &onsale.Event{
		ID: id, Name: "A night", StartsAt: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC), Currency: "EUR",
		Sections: []onsale.Section{
			{ID: "stand", Kind: onsale.Reserved, Price: 5000, Grid: &onsale.Grid{Rows: rows, Seats: seats}},
			{ID: "floor", Kind: onsale.General, Price: 3000, Capacity: 100},
			{ID: "box", Kind: onsale.Reserved, Price: 9000, Rows: []onsale.Row{{ID: "A", Seats: 2}, {ID: "B", Seats: 3}}},
		},
	}
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	h := &house{layout: onsale.NewLayout(event), listeners: map[Listener]bool{}, history: map[moment]*onsale.FeedSnapshot{}}
	h.refill(1)
	return h
}

// refill begins an epoch with everything available. Called under mu, or before anyone knows h.
func (h *house) refill(epoch onsale.Epoch) {
	h.stock = &onsale.Stock{Event: h.layout.Event.ID, Epoch: epoch, At: time.Now().UTC(), Sale: onsale.SaleOpen, Seats: h.layout.Empty()}
	for _, s := range h.layout.Sections() {
		h.stock.Counts = append(h.stock.Counts, onsale.Counts{Available: s.Capacity})
	}
	h.remember()
}

func (h *house) remember() {
	if h.prints != nil {
		h.prints[place{h.stock.Epoch, h.stock.Seq}] = print(h.stock.Counts, string(h.stock.Seats))
		return
	}
	h.history[moment{h.stock.Epoch, h.stock.Seq, h.stock.Sale}] = Snapshot(h.layout, h.stock)
}

// Watch implements Source.
func (h *house) Watch(_ context.Context, _ *onsale.Layout, l Listener) (func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched++
	if h.failure != nil {
		return nil, h.failure
	}
	h.listeners[l] = true
	if !h.late {
		l.Reset(h.stock)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l)
	}, nil
}

// turn changes the state of up to n seats and admissions at random, as one delta. If it
// isn't told, the listeners miss it until the next reset.
func (h *house) turn(r *rand.Rand, n int, told bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := &onsale.Delta{
		Epoch: h.stock.Epoch, Seq: h.stock.Seq + 1, At: time.Now().UTC(), Counts: map[int]onsale.Counts{},
		Sale: []onsale.Sale{onsale.SaleOpen, onsale.SaleOpen, onsale.SaleOpen, onsale.SalePaused}[r.IntN(4)],
	}
	sections := h.layout.Sections()
	for range n {
		s := sections[r.IntN(len(sections))]
		counts, ok := d.Counts[s.Index]
		if !ok {
			counts = h.stock.Counts[s.Index]
		}
		from, to := pick(r), pick(r)
		if s.Kind == onsale.Reserved {
			at := s.Start + r.IntN(s.End-s.Start)
			if from = state(d, h.stock, at); from == onsale.RowEnd {
				continue
			}
			d.Seats = append(d.Seats, onsale.SeatRun{Offset: at, States: string(to)})
		}
		if *count(&counts, from) > 0 {
			*count(&counts, from)--
			*count(&counts, to)++
		}
		d.Counts[s.Index] = counts
	}
	if !h.stock.Apply(d) {
		panic("the house refused its own delta")
	}
	h.remember()
	for l := range h.listeners {
		if told {
			l.Delta(d)
		}
	}
}

func pick(r *rand.Rand) byte {
	return [...]byte{onsale.SeatAvailable, onsale.SeatHeld, onsale.SeatPinned, onsale.SeatSold}[r.IntN(4)]
}

// state is what a seat is after the delta so far.
func state(d *onsale.Delta, s *onsale.Stock, at int) byte {
	for i := len(d.Seats) - 1; i >= 0; i-- {
		if d.Seats[i].Offset == at {
			return d.Seats[i].States[0]
		}
	}
	return s.Seats[at]
}

func count(c *onsale.Counts, state byte) *int64 {
	switch state {
	case onsale.SeatAvailable:
		return &c.Available
	case onsale.SeatHeld:
		return &c.Held
	case onsale.SeatPinned:
		return &c.Pinned
	}
	return &c.Sold
}

// tell resets all listeners to what is true.
func (h *house) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.Reset(h.stock)
	}
}

// say resets all listeners to the same stock with another sale, as a mirror does whose
// doubt begins or ends.
func (h *house) say(sale onsale.Sale) {
	h.mu.Lock()
	h.stock.Sale = sale
	h.remember()
	h.mu.Unlock()
	h.tell()
}

// newEpoch loses everything and begins again.
func (h *house) newEpoch() {
	h.mu.Lock()
	h.refill(h.stock.Epoch + 1)
	h.mu.Unlock()
	h.tell()
}

// view is what everyone should see.
func (h *house) view() *onsale.FeedSnapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Snapshot(h.layout, h.stock)
}

// wasTrue returns an error if the view never was true.
func (h *house) wasTrue(view *onsale.FeedSnapshot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.prints != nil {
		var counts []onsale.Counts
		seats := ""
		for _, s := range view.Sections {
			counts = append(counts, s.Counts)
			seats += s.Seats
		}
		if h.prints[place{view.Epoch, view.Seq}] != print(counts, seats) {
			return fmt.Errorf("the stock never was like this at epoch %d seq %d", view.Epoch, view.Seq)
		}
		return nil
	}
	was, ok := h.history[moment{view.Epoch, view.Seq, view.Sale}]
	if !ok {
		return fmt.Errorf("there never was an epoch %d seq %d with the sale %s", view.Epoch, view.Seq, view.Sale)
	}
	return feedclient.Differ(view, was)
}

var printSeed = maphash.MakeSeed()

// print is a fingerprint of a stock.
func print(counts []onsale.Counts, seats string) uint64 {
	var mac maphash.Hash
	mac.SetSeed(printSeed)
	for _, c := range counts {
		maphash.WriteComparable(&mac, c)
	}
	mac.WriteString(seats)
	return mac.Sum64()
}

func (h *house) watchers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.listeners)
}

// street is the houses of a test, by event.
type street struct {
	mu     sync.Mutex
	houses map[onsale.EventID]*house // under mu
}

func (s *street) add(h *house) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.houses[h.layout.Event.ID] = h
}

func (s *street) lookup(_ context.Context, event onsale.EventID) (*onsale.Layout, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.houses[event]
	if !ok {
		return nil, onsale.Refuse(onsale.CodeUnknownEvent, "there is no such event")
	}
	return h.layout, nil
}

// Watch implements Source.
func (s *street) Watch(ctx context.Context, layout *onsale.Layout, l Listener) (func(), error) {
	s.mu.Lock()
	h := s.houses[layout.Event.ID]
	s.mu.Unlock()
	if h == nil {
		return nil, errors.New("no such house")
	}
	return h.Watch(ctx, layout, l)
}
