package payment_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/checkout/payment"
	"onsale/checkout/payment/simulator"
	"onsale/internal/kafka"
	"onsale/internal/stores/storestest"
)

// answerTime is short, so that charges that are never answered don't make the
// tests long. So is the time for which a breaker stays open (startWorker).
const answerTime = 500 * time.Millisecond

// stage is the worker's surroundings: Kafka on both sides, and a reader of its results.
type stage struct {
	broker   kafka.Broker
	producer *kafka.Producer

	mu      sync.Mutex
	results map[onsale.OrderID][]onsale.ChargeResult // under mu
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		broker:  kafka.Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)},
		results: map[onsale.OrderID][]onsale.ChargeResult{},
	}
	if err := kafka.EnsureTopics(t.Context(), s.broker, 3); err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(s.broker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	s.producer = producer
	reader := kafka.NewConsumer(kafka.ConsumerConfig{Broker: s.broker, Group: "reader", Topic: onsale.TopicResults, Handle: s.read})
	if err := reader.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, reader.Stop) })
	return s
}

func (s *stage) read(_ context.Context, batch []kafka.Record) error {
	for _, r := range batch {
		result, err := kafka.Decode[onsale.ChargeResult](r)
		if err != nil {
			return err
		}
		if string(r.Key) != string(result.Order) {
			return fmt.Errorf("the result of %s is keyed %s", result.Order, r.Key)
		}
		s.mu.Lock()
		s.results[result.Order] = append(s.results[result.Order], result)
		s.mu.Unlock()
	}
	return nil
}

func (s *stage) decided() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.results)
}

func (s *stage) startWorker(t *testing.T, provider payment.Provider, set *metrics.Set) *payment.Worker {
	t.Helper()
	cfg := payment.WorkerConfig{
		Broker: s.broker, Producer: s.producer, Provider: provider, Metrics: set, Log: slog.New(slog.DiscardHandler),
	}
	cfg.OpenFor(time.Second)
	w := payment.NewWorker(cfg)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, w.Stop) })
	return w
}

func (s *stage) send(t *testing.T, charges ...onsale.Charge) {
	t.Helper()
	messages := make([]kafka.Message, len(charges))
	for i, c := range charges {
		messages[i] = kafka.Message{Topic: onsale.TopicCharges, Key: string(c.Order), Value: c}
	}
	if err := s.producer.Produce(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
}

// check waits until the worker has nothing left to do, and holds what Kafka was
// told against what the provider has on record.
func (s *stage) check(t *testing.T, c *payment.Client, charges []onsale.Charge) {
	t.Helper()
	eventually(t, "every order has a result", func() bool { return s.decided() == len(charges) })
	eventually(t, "every charge is committed", func() bool {
		lag, err := kafka.Lag(t.Context(), s.broker, payment.WorkerGroup, onsale.TopicCharges)
		if err != nil {
			t.Fatal(err)
		}
		return lag == 0
	})
	ledger := ledgerOf(t, c)
	if len(ledger) != len(charges) {
		t.Errorf("%d orders on the ledger, want %d", len(ledger), len(charges))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, charge := range charges {
		e, results := ledger[charge.Order], s.results[charge.Order]
		captures := 1
		if e.Outcome == onsale.ChargeDeclined {
			captures = 0
		}
		if e.Captures != captures || e.Amount != charge.Amount {
			t.Errorf("%s (%s): on the ledger %+v", charge.Order, charge.PaymentToken, e)
		}
		for _, r := range results {
			if r != results[0] || r.Outcome != e.Outcome || r.Reference != e.Reference || r.Amount != e.Amount {
				t.Errorf("%s (%s): told %+v, on the ledger %+v", charge.Order, charge.PaymentToken, r, e)
			}
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not within 60 s", what)
		}
	}
}

func TestKafkaEveryMisbehaviourIsChargedOnceAndToldTruly(t *testing.T) {
	s := newStage(t)
	sim := startSimulator(t, simulator.Config{
		Ledger:    filepath.Join(t.TempDir(), "ledger.jsonl"),
		Behaviour: simulator.Behaviour{Seed: 1, Decline: 0.2, Error: 0.15, Timeout: 0.05, Broken: 0.15, DelayMs: 5},
	})
	c := newClient(t, sim.URL(), answerTime)
	set := metrics.NewSet()
	s.startWorker(t, c, set)

	var all []onsale.Charge
	for _, token := range []string{"tok_ok", "tok_decline", "tok_delay_50", "tok_delay_3000", "tok_timeout", "tok_twice", "tok_error", "tok_broken"} {
		for range 5 {
			all = append(all, newCharge(token))
		}
	}
	for range 200 {
		all = append(all, newCharge("tok_any"))
	}
	s.send(t, all...)
	s.send(t, all[:50]...) // persist may send a charge again
	s.check(t, c, all)

	var text strings.Builder
	set.WritePrometheus(&text)
	for _, name := range []string{
		`onsale_charges_total{outcome="captured"} `, `onsale_charges_total{outcome="declined"} `,
		`onsale_charges_total{outcome="deferred"} `, `onsale_charge_unknown_total `, `onsale_charge_seconds_count `,
	} {
		if !strings.Contains(text.String(), name) || strings.Contains(text.String(), name+"0\n") {
			t.Errorf("nothing was counted as %s", name)
		}
	}
}

func TestKafkaWorkersAndProviderThatEndInTheMiddleLoseNoCharge(t *testing.T) {
	s := newStage(t)
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	misbehaves := simulator.Behaviour{Seed: 2, Decline: 0.1, Error: 0.1, Timeout: 0.05, Broken: 0.1, DelayMs: 20}
	sim := startSimulator(t, simulator.Config{Ledger: path, Behaviour: misbehaves})
	c := newClient(t, sim.URL(), answerTime)
	first := s.startWorker(t, c, nil)

	var all []onsale.Charge
	for range 400 {
		all = append(all, newCharge("tok_any"))
	}
	s.send(t, all[:200]...)
	eventually(t, "some are decided", func() bool { return s.decided() > 20 })
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	// This Stop waits for nothing, so it says that something is still under way.
	if err := first.Stop(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped in the middle: %v", err)
	}
	s.send(t, all[200:]...)
	s.startWorker(t, c, nil)
	decided := s.decided()
	eventually(t, "more are decided", func() bool { return s.decided() > decided+20 })
	stop(t, sim.Stop)
	again := startSimulator(t, simulator.Config{
		Ledger: path, Behaviour: misbehaves, Listen: strings.TrimPrefix(sim.URL(), "http://"),
	})
	s.check(t, newClient(t, again.URL(), answerTime), all)
}

func TestKafkaUndecodableChargeIsDeadLettered(t *testing.T) {
	s := newStage(t)
	c := newClient(t, startSimulator(t, simulator.Config{}).URL(), answerTime)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Seeds...), kgo.ConsumeTopics(s.broker.Topic(onsale.TopicCharges)+onsale.DeadLetterSuffix))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	bad := &kgo.Record{Topic: s.broker.Topic(onsale.TopicCharges), Value: []byte(`{"order":7}`)}
	if err := cl.ProduceSync(t.Context(), bad).FirstErr(); err != nil {
		t.Fatal(err)
	}
	charge := newCharge("tok_ok")
	s.send(t, charge)
	s.startWorker(t, c, nil)
	s.check(t, c, []onsale.Charge{charge})

	fetches := cl.PollFetches(t.Context())
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	for _, r := range fetches.Records() {
		if string(r.Value) != string(bad.Value) || len(r.Headers) == 0 {
			t.Errorf("dead letter %s with headers %v", r.Value, r.Headers)
		}
	}
	if fetches.NumRecords() != 1 {
		t.Errorf("%d dead letters", fetches.NumRecords())
	}
}
