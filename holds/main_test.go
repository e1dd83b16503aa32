package holds

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"onsale"
	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) {
	// rueidis's client of a cluster closes connections five seconds after it leaves them.
	storestest.Main(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient).redirectOrNew.func1"))
}

const testEpoch onsale.Epoch = 1

// house is an event laid out in a namespace of its own on a real Redis.
type house struct {
	t      *testing.T
	layout *onsale.Layout
	desk   *Desk
	client rueidis.Client
}

// newHouse opens an event with a floor of 10, and a stand of rows A and B with 5
// seats each; one buyer may have 4.
func newHouse(t *testing.T, change func(*onsale.Event)) *house {
	t.Helper()
	event := &onsale.Event{ID: "concert", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), MaxPerBuyer: 4, Epoch: testEpoch,
		Sections: []onsale.Section{
			{ID: "floor", Kind: onsale.General, Capacity: 10, Price: 5000},
			{ID: "stand", Kind: onsale.Reserved, Price: 8000, Grid: &onsale.Grid{Rows: 2, Seats: 5}},
		}}
	if change != nil {
		change(event)
	}
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	url, namespace := storestest.Redis(t)
	h := &house{t: t, layout: onsale.NewLayout(event), client: connect(t, url)}
	h.desk = NewDesk(Config{Client: h.client, Namespace: namespace, Secret: []byte("test")})
	t.Cleanup(func() {
		if err := h.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h.rebuild(testEpoch)
	return h
}

func connect(t *testing.T, url string) rueidis.Client {
	t.Helper()
	client, err := Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// restart makes the stock look as if another run of the server had laid it.
func (h *house) restart() {
	h.t.Helper()
	k := newKeys(h.desk.cfg.Namespace, h.layout.Event.ID)
	if err := h.client.Do(h.t.Context(), h.client.B().Hset().Key(k.all[0]).FieldValue().FieldValue("run", "another").Build()).Error(); err != nil {
		h.t.Fatal(err)
	}
}

// rebuild lays the stock in an epoch, as after a restart, with what is kept, and
// opens the sale.
func (h *house) rebuild(epoch onsale.Epoch, kept ...Kept) {
	h.t.Helper()
	if epoch > testEpoch {
		h.restart()
	}
	if err := h.desk.BeginRebuild(h.t.Context(), h.layout, epoch); err != nil {
		h.t.Fatal(err)
	}
	if err := h.desk.FinishRebuild(h.t.Context(), h.layout, epoch, onsale.SaleOpen, kept); err != nil {
		h.t.Fatal(err)
	}
}

// hold asks to hold; the error is the caller's to judge.
func (h *house) hold(buyer onsale.BuyerID, key string, asks ...onsale.Ask) (onsale.Hold, error) {
	h.t.Helper()
	checked, err := h.layout.CheckAsks(asks)
	if err != nil {
		return onsale.Hold{}, err
	}
	return eitherHold(h.t.Context(), h.desk, h.layout, Request{Buyer: buyer, Asks: checked, Key: key})
}

// turns counts what was asked by the two below.
var turns atomic.Int64

// eitherHold asks for a hold by Hold and by HoldThen in turns: both are held to every promise.
func eitherHold(ctx context.Context, d *Desk, l *onsale.Layout, r Request) (onsale.Hold, error) {
	if turns.Add(1)%2 == 0 {
		return d.Hold(ctx, l, r)
	}
	return awaited(func(then func(onsale.Hold, error)) { d.HoldThen(l, r, then) })
}

// eitherPin pins by Pin and by PinThen in turns.
func eitherPin(ctx context.Context, d *Desk, l *onsale.Layout, id onsale.HoldID, buyer onsale.BuyerID, generation uint64) (onsale.Hold, error) {
	if turns.Add(1)%2 == 0 {
		return d.Pin(ctx, l, id, buyer, generation)
	}
	return awaited(func(then func(onsale.Hold, error)) { d.PinThen(l, id, buyer, generation, then) })
}

// awaited waits for what is told once; twice panics.
func awaited(ask func(then func(onsale.Hold, error))) (hold onsale.Hold, err error) {
	done := make(chan struct{})
	ask(func(h onsale.Hold, e error) {
		hold, err = h, e
		close(done)
	})
	<-done
	return hold, err
}

func (h *house) mustHold(buyer onsale.BuyerID, asks ...onsale.Ask) onsale.Hold {
	h.t.Helper()
	hold, err := h.hold(buyer, "", asks...)
	if err != nil {
		h.t.Fatal(err)
	}
	return hold
}

// counts are the section's, after checking that they add up to its capacity.
func (h *house) counts(section string) onsale.Counts {
	h.t.Helper()
	stock, err := h.desk.Stock(h.t.Context(), h.layout)
	if err != nil {
		h.t.Fatal(err)
	}
	s := h.layout.Section(section)
	c := stock.Counts[s.Index]
	if c.Total() != s.Capacity {
		h.t.Fatalf("%s: %+v add up to %d, not to %d", section, c, c.Total(), s.Capacity)
	}
	return c
}

func (h *house) wantCounts(section string, want onsale.Counts) {
	h.t.Helper()
	if got := h.counts(section); got != want {
		h.t.Errorf("%s: %+v, want %+v", section, got, want)
	}
}

func wantCode(t *testing.T, err error, want onsale.Code) {
	t.Helper()
	if onsale.CodeOf(err) != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// wantRefusal is wantCode for who looks at what the refusal says.
func wantRefusal(t *testing.T, err error, want onsale.Code) *onsale.Error {
	t.Helper()
	wantCode(t, err, want)
	var refused *onsale.Error
	if !errors.As(err, &refused) {
		t.Fatalf("%v is not a refusal", err)
	}
	return refused
}

// eventually polls until ok, which must come soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func floor(n int) onsale.Ask           { return onsale.Ask{Section: "floor", Quantity: n} }
func stand(seats ...string) onsale.Ask { return onsale.Ask{Section: "stand", Seats: seats} }
func best(n int) onsale.Ask            { return onsale.Ask{Section: "stand", Quantity: n} }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
