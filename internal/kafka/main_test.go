package kafka

// What the tests stand on: topics of their own on a real broker, or a broker of
// their own that can be told to misbehave; and what was handled, in order.

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"onsale"
	"onsale/internal/lifecycle"
	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) { storestest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

const (
	testGroup = "readers"
	testTopic = onsale.TopicPurchases
)

// newBroker returns topics of the test's own, on Apache Kafka if one is named.
func newBroker(t *testing.T, partitions int32) Broker {
	t.Helper()
	return withTopics(t, Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)}, partitions)
}

// newUnruly returns a broker that the test can tell to misbehave.
func newUnruly(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, Broker) {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	check(t, err)
	t.Cleanup(cluster.Close)
	return cluster, withTopics(t, Broker{Seeds: cluster.ListenAddrs()}, 1)
}

func withTopics(t *testing.T, b Broker, partitions int32) Broker {
	t.Helper()
	check(t, EnsureTopics(t.Context(), b, partitions))
	return b
}

func newProducer(t *testing.T, b Broker) *Producer {
	t.Helper()
	p, err := NewProducer(b)
	check(t, err)
	t.Cleanup(p.Close)
	return p
}

// message is one of the test's topic.
func message(key, value string) Message { return Message{Topic: testTopic, Key: key, Value: value} }

// produce produces values under one key, so that they have an order.
func produce(t *testing.T, p *Producer, values ...string) {
	t.Helper()
	for _, v := range values {
		check(t, p.Produce(t.Context(), message("key", v)))
	}
}

func start(t *testing.T, part lifecycle.Part) {
	t.Helper()
	check(t, part.Start(t.Context()))
	t.Cleanup(func() { stop(t, part) })
}

func stop(t *testing.T, part lifecycle.Part) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	check(t, part.Stop(ctx))
}

// consume starts a consumer of the test's topic.
func consume(t *testing.T, b Broker, handle func(context.Context, []Record) error) *Consumer {
	t.Helper()
	c := NewConsumer(ConsumerConfig{Broker: b, Group: testGroup, Topic: testTopic, Handle: handle, Log: slog.New(slog.DiscardHandler)})
	start(t, c)
	return c
}

// drained waits until the group has committed what is in the topic.
func drained(t *testing.T, b Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	check(t, Drained(ctx, b, testGroup, testTopic))
}

func lag(t *testing.T, b Broker) int64 {
	t.Helper()
	n, err := Lag(t.Context(), b, testGroup, testTopic)
	check(t, err)
	return n
}

// handled is what has been handled, in the order in which it was.
type handled struct {
	mu     sync.Mutex
	values []string // under mu
}

// add is a handler that notes the records and is done.
func (h *handled) add(_ context.Context, batch []Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range batch {
		v, err := Decode[string](r)
		if err != nil {
			return err
		}
		h.values = append(h.values, v)
	}
	return nil
}

func (h *handled) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.values)
}

func wantHandled(t *testing.T, h *handled, want ...string) {
	t.Helper()
	if got := h.all(); !slices.Equal(got, want) {
		t.Errorf("handled %q, want %q", got, want)
	}
}

// wait waits for a signal.
func wait(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("not in time: %s", what)
	}
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
