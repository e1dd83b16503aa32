package payment

// Why the worker is shaped so.
//
// Records come in batches, and the offsets of a batch are committed together: a
// charge that stays unknown would hold up every charge behind it, for as long as
// the provider doesn't answer. Three other ways out are wrong: committing before
// the answer loses the charge in a crash; giving up is a guess; and cutting
// attempts short never gets an answer from a provider that is merely slow.
//
// So a batch waits for its charges, each with its own result told to Kafka as
// soon as it is definite, but only for patience. Charges still undecided then are
// put back at the end of their own topic, acknowledged, and the batch is committed.
// Their attempts go on in memory meanwhile (undecided.go), and when the copy comes
// round it joins the decision under way, or asks again under the same key, which
// gives the same answer. A slow charge thus holds up unrelated ones by patience at
// the most, and its own result comes no later than if they had waited.
//
// What it costs: while the provider falters, at most maxBatch records each patience
// go round, until the breaker opens (breaker.go), when none do; and a result may be
// told twice, which persist ignores.
// A batch is handled within patience and one produce, far below the time after
// which Kafka would give the partitions to someone else.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// WorkerGroup is the consumer group of the charge workers.
	WorkerGroup = "onsale-pay"
	// DefaultName is the name of a provider that has none.
	DefaultName = "simulator"
	// maxBatch is how many charges a worker takes at once.
	maxBatch = 512
	// patience is how long a batch waits for its slowest charge.
	patience = 2 * time.Second
	// DefaultGiveUp is how long a charge may stay undecided before it is called off.
	DefaultGiveUp = 15 * time.Minute
	// MaxGiveUp is the most that may be set: it must be well below the time for which a
	// provider knows an idempotency key, which is a day.
	MaxGiveUp = 12 * time.Hour
)

// WorkerConfig says what a worker works with.
type WorkerConfig struct {
	Broker   kafka.Broker
	Producer *kafka.Producer // outlives the worker
	Provider Provider        // the worker puts a breaker of its own before it
	Name     string          // of the provider, for metrics, logs and news; default DefaultName
	MaxBatch int             // charges taken at once; default, and the most, 512
	Parallel int             // questions under way at the provider; default DefaultParallel
	GiveUp   time.Duration   // since a charge was first asked for; default DefaultGiveUp, at most MaxGiveUp
	Metrics  *metrics.Set    // no other worker's; default: one that nobody reads
	Log      *slog.Logger    // default slog.Default()

	openTime time.Duration // of the breaker; default openTime. Tests have less patience
}

// Worker takes charges from Kafka, has each decided by the provider, and puts the
// definite answer into Kafka, keyed by order. Every charge is answered at least
// once; none is dropped, guessed or asked for under another key. While the provider
// fails, charges wait in Kafka, and every front is told. Any number of workers share
// the work.
type Worker struct {
	producer  producer
	counters  counters
	log       *slog.Logger
	breaker   *Breaker
	undecided *undecided
	consumer  *kafka.Consumer
	teller    *delayTeller
	deciding  lifecycle.Group // undecided.run and teller.run
}

var _ lifecycle.Part = (*Worker)(nil)

// producer is what the worker needs of kafka.Producer.
type producer interface {
	Produce(ctx context.Context, messages ...kafka.Message) error
	DeadLetter(ctx context.Context, r kafka.Record, reason error) error
}

// NewWorker returns a worker that has not started.
func NewWorker(cfg WorkerConfig) *Worker {
	if cfg.MaxBatch <= 0 || cfg.MaxBatch > maxBatch {
		cfg.MaxBatch = maxBatch
	}
	w := newWorker(cfg, cfg.Producer)
	w.consumer = kafka.NewConsumer(kafka.ConsumerConfig{
		Broker: cfg.Broker, Group: WorkerGroup, Topic: onsale.TopicCharges,
		MaxBatch: cfg.MaxBatch, Handle: w.handle, Room: w.breaker.Room,
		Lost: cfg.Producer.BuryLoss, Metrics: cfg.Metrics, Log: w.log,
	})
	return w
}

func newWorker(cfg WorkerConfig, producer producer) *Worker {
	if cfg.Parallel == 0 {
		cfg.Parallel = DefaultParallel
	}
	if cfg.Name == "" {
		cfg.Name = DefaultName
	}
	if cfg.openTime == 0 {
		cfg.openTime = openTime
	}
	if cfg.GiveUp == 0 {
		cfg.GiveUp = DefaultGiveUp
	}
	cfg.GiveUp = min(cfg.GiveUp, MaxGiveUp)
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	w := &Worker{producer: producer, counters: newCounters(cfg.Metrics), log: cfg.Log}
	w.breaker = newBreaker(cfg.Provider, cfg.Name, cfg.openTime, cfg.Metrics, cfg.Log)
	w.undecided = newUndecided(cfg, w.breaker, producer, w.counters)
	w.teller = newDelayTeller(w.breaker, cfg.Name, producer, cfg.Log)
	return w
}

// Start implements lifecycle.Part.
func (w *Worker) Start(ctx context.Context) error {
	w.deciding.Go(ctx, w.undecided.run)
	w.deciding.Go(ctx, w.teller.run)
	if err := w.consumer.Start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start charge worker: %w", err), w.deciding.Stop(ctx))
	}
	return nil
}

// Stop implements lifecycle.Part. Charges without a definite answer stay in Kafka
// for the next worker.
func (w *Worker) Stop(ctx context.Context) error {
	// The consumer first: a batch under way may still get its answers.
	err := errors.Join(w.consumer.Stop(ctx), w.deciding.Stop(ctx))
	if err != nil {
		return fmt.Errorf("stop charge worker: %w", err)
	}
	return nil
}

// handle returns nil when each record's result is in Kafka, or a copy of the
// record is, in the charges or the dead-letter topic.
func (w *Worker) handle(ctx context.Context, batch []kafka.Record) error {
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	decisions := make([]*decision, 0, len(batch))
	for _, r := range batch {
		charge, err := decodeCharge(r)
		if err != nil {
			if err := w.bury(ctx, r, err); err != nil {
				return err
			}
			continue
		}
		decisions = append(decisions, w.undecided.join(waiting, charge))
	}
	for _, d := range decisions {
		select {
		case <-d.done:
		case <-waiting.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("charges not decided: %w", err)
	}
	return w.putBack(ctx, decisions)
}

// putBack produces the charges that are still undecided to the end of their
// topic, one copy an order.
func (w *Worker) putBack(ctx context.Context, decisions []*decision) error {
	var late []kafka.Message
	var reason error // of one of them, for the log
	seen := make(map[onsale.OrderID]bool, len(decisions))
	for _, d := range decisions {
		charge, told, cause := d.state()
		if told || seen[charge.Order] {
			continue
		}
		seen[charge.Order], reason = true, cause
		late = append(late, kafka.Message{Topic: onsale.TopicCharges, Key: string(charge.Order), Value: charge})
	}
	if len(late) == 0 {
		return nil
	}
	if err := w.producer.Produce(ctx, late...); err != nil {
		return fmt.Errorf("put %d undecided charges back: %w", len(late), err)
	}
	w.counters.deferred.Add(len(late))
	w.log.Warn("charges undecided; they are asked for again", "charges", len(late), "of", len(decisions), "error", reason)
	return nil
}

// bury dead-letters a record that can never be charged.
func (w *Worker) bury(ctx context.Context, r kafka.Record, reason error) error {
	if err := w.producer.DeadLetter(ctx, r, reason); err != nil {
		return err
	}
	w.counters.dead.Inc()
	w.counters.letters.Inc()
	w.log.Error("charge dead-lettered", "partition", r.Partition, "offset", r.Offset, "error", reason)
	return nil
}

// decodeCharge reads a charge. An error means that no repeat can mend the record.
func decodeCharge(r kafka.Record) (onsale.Charge, error) {
	c, err := kafka.Decode[onsale.Charge](r)
	if err != nil {
		return c, err
	}
	event, _, ok := c.Order.Parse()
	switch {
	case !ok:
		return c, fmt.Errorf("charge names no order: %.80q", c.Order)
	case event != c.Event:
		return c, fmt.Errorf("charge of %s is for event %.80q", c.Order, c.Event)
	case c.Amount < 0 || c.Currency == "" || c.PaymentToken == "":
		return c, fmt.Errorf("charge of %s lacks an amount, a currency or a payment token", c.Order)
	}
	return c, nil
}
