package checkout

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) { storestest.Main(m) }

const (
	alice = onsale.BuyerID("buy_alice")
	bob   = onsale.BuyerID("buy_bob")
)

// hall is a desk on a real Redis, with events that are on sale.
type hall struct {
	t       *testing.T
	desk    *holds.Desk
	layouts map[onsale.EventID]*onsale.Layout
	layout  *onsale.Layout // of the first event
}

// newHall opens the events, by default one of them, each with a floor of 20 and a
// row A of ten seats.
func newHall(t *testing.T, events ...onsale.EventID) *hall {
	t.Helper()
	url, namespace := storestest.Redis(t)
	return newHallOn(t, url, namespace, events...)
}

// newHallOn is newHall on a Redis of the caller's.
func newHallOn(t *testing.T, url, namespace string, events ...onsale.EventID) *hall {
	t.Helper()
	client, err := holds.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	h := &hall{t: t, layouts: map[onsale.EventID]*onsale.Layout{},
		desk: holds.NewDesk(holds.Config{Client: client, Namespace: namespace, Secret: []byte("test")})}
	t.Cleanup(func() { stop(t, h.desk.Stop) })
	if len(events) == 0 {
		events = []onsale.EventID{"concert"}
	}
	for _, id := range events {
		l := h.announce(id)
		h.beginLaying(l)
		h.finishLaying(l)
	}
	h.layout = h.layouts[events[0]]
	return h
}

// announce makes an event whose stock Redis doesn't have yet.
func (h *hall) announce(id onsale.EventID) *onsale.Layout {
	h.t.Helper()
	event := &onsale.Event{ID: id, Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), Epoch: 1, HoldSeconds: 2, MaxPerBuyer: 20,
		Sections: []onsale.Section{
			{ID: "floor", Kind: onsale.General, Capacity: 20, Price: 5000},
			{ID: "stand", Kind: onsale.Reserved, Price: 8000, Grid: &onsale.Grid{Rows: 1, Seats: 10}},
		}}
	if err := event.Complete(); err != nil {
		h.t.Fatal(err)
	}
	h.layouts[id] = onsale.NewLayout(event)
	return h.layouts[id]
}

// beginLaying leaves the event recovering until finishLaying.
func (h *hall) beginLaying(l *onsale.Layout) {
	h.t.Helper()
	if err := h.desk.BeginRebuild(h.t.Context(), l, l.Event.Epoch); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) finishLaying(l *onsale.Layout) {
	h.t.Helper()
	if err := h.desk.FinishRebuild(h.t.Context(), l, l.Event.Epoch, onsale.SaleOpen, nil); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) find(_ context.Context, id onsale.EventID) (*onsale.Layout, error) {
	if l := h.layouts[id]; l != nil {
		return l, nil
	}
	return nil, onsale.Refuse(onsale.CodeUnknownEvent, "no such event")
}

func (h *hall) hold(l *onsale.Layout, buyer onsale.BuyerID, line onsale.Line) onsale.Hold {
	h.t.Helper()
	asks, err := l.CheckAsks([]onsale.Ask{{Section: line.Section, Quantity: line.Quantity, Seats: line.Seats}})
	if err != nil {
		h.t.Fatal(err)
	}
	hold, err := h.desk.Hold(h.t.Context(), l, holds.Request{Buyer: buyer, Asks: asks})
	if err != nil {
		h.t.Fatal(err)
	}
	return hold
}

// pin holds a place on the floor of the first event and pins it.
func (h *hall) pin(buyer onsale.BuyerID) onsale.Hold {
	h.t.Helper()
	hold := h.hold(h.layout, buyer, floor(1))
	h.pinAgain(hold)
	return hold
}

func (h *hall) pinAgain(hold onsale.Hold) {
	h.t.Helper()
	if _, err := h.desk.Pin(h.t.Context(), h.layout, hold.ID, hold.Buyer, 0); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) look(hold onsale.Hold) onsale.Hold {
	h.t.Helper()
	l, err := h.find(h.t.Context(), hold.Event)
	if err != nil {
		h.t.Fatal(err)
	}
	now, err := h.desk.Look(h.t.Context(), l, hold.ID, hold.Buyer)
	if err != nil {
		h.t.Fatal(err)
	}
	return now
}

func (h *hall) wantState(hold onsale.Hold, want onsale.HoldState) {
	h.t.Helper()
	if got := h.look(hold).State; got != want {
		h.t.Errorf("%s is %s, want %s", hold.ID, got, want)
	}
}

// counts are a section's of the first event, after checking that they add up.
func (h *hall) counts(section string) onsale.Counts {
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

func (h *hall) wantFloor(want onsale.Counts) {
	h.t.Helper()
	if got := h.counts("floor"); got != want {
		h.t.Errorf("floor: %+v, want %+v", got, want)
	}
}

func floor(n int) onsale.Line           { return onsale.Line{Section: "floor", Quantity: n} }
func stand(seats ...string) onsale.Line { return onsale.Line{Section: "stand", Seats: seats} }

// line is Kafka's side: a broker that is the test's own to stop, and a producer.
type line struct {
	t        *testing.T
	server   *stores.Kafka // nil if it is another's
	broker   kafka.Broker
	producer *kafka.Producer
}

// newLine uses the Kafka that the tests are given.
func newLine(t *testing.T) *line {
	t.Helper()
	return connectLine(t, &line{t: t, broker: kafka.Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)}})
}

// newPrivateLine has a Kafka that the test may stop.
func newPrivateLine(t *testing.T) *line {
	t.Helper()
	server := storestest.PrivateKafka(t)
	return connectLine(t, &line{t: t, server: server, broker: kafka.Broker{Seeds: server.Seeds(), Prefix: storestest.KafkaPrefix(t)}})
}

func connectLine(t *testing.T, k *line) *line {
	t.Helper()
	if err := kafka.EnsureTopics(t.Context(), k.broker, 1); err != nil {
		t.Fatal(err)
	}
	var err error
	if k.producer, err = kafka.NewProducer(k.broker); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.producer.Close)
	return k
}

func (k *line) stop() {
	k.t.Helper()
	if err := k.server.Stop(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

func (k *line) start() {
	k.t.Helper()
	if err := k.server.Start(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

// records is how many records the topic has.
func (k *line) records(topic string) int64 {
	k.t.Helper()
	n, err := kafka.Lag(k.t.Context(), k.broker, "a-group-that-read-nothing", topic)
	if err != nil {
		k.t.Fatal(err)
	}
	return n
}

func (k *line) wantRecords(topic string, want int64) {
	k.t.Helper()
	if got := k.records(topic); got != want {
		k.t.Errorf("%s has %d records, want %d", topic, got, want)
	}
}

// read returns the values of the topic's first n records.
func read[T any](k *line, topic string, n int) []T {
	k.t.Helper()
	values := make(chan T, 100)
	c := kafka.NewConsumer(kafka.ConsumerConfig{Broker: k.broker, Group: "reader", Topic: topic, Log: quiet(),
		Handle: func(_ context.Context, batch []kafka.Record) error {
			for _, r := range batch {
				v, err := kafka.Decode[T](r)
				if err != nil {
					return err
				}
				values <- v
			}
			return nil
		}})
	if err := c.Start(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	defer stop(k.t, c.Stop)
	var read []T
	deadline := time.After(patience)
	for len(read) < n {
		select {
		case v := <-values:
			read = append(read, v)
		case <-deadline:
			k.t.Fatalf("%d records of %s, want %d", len(read), topic, n)
		}
	}
	return read
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// eventually polls until ok, which must come soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func stop(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

func wantCode(t *testing.T, err error, want onsale.Code) {
	t.Helper()
	if onsale.CodeOf(err) != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
