package persist

// The settler runs Claim and Finalise on what Kafka delivers. A batch's offsets are
// committed only after its transaction and after everything that follows from it is
// acknowledged, so whatever is killed, the batch comes again and the same follows
// again. A record that can never be processed goes to the dead-letter topic, so
// that it can't hold up those behind it; a fault that passes never sends one there.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

// The consumer groups. What GroupClaim has not committed is accepted and not yet claimed.
const (
	GroupClaim    = "onsale-claim"
	GroupFinalise = "onsale-finalise"

	stageClaim    = "claim"
	stageFinalise = "finalise"

	// defaultBatch is how many records one transaction settles at the most.
	defaultBatch = 1000
)

// SettlerConfig says what a settler works with. All but Metrics and Log are needed.
type SettlerConfig struct {
	Store    *Store
	Broker   kafka.Broker
	Producer *kafka.Producer
	MaxBatch int          // records that one transaction settles at the most; default 1000
	Metrics  *metrics.Set // default: a set of its own
	Log      *slog.Logger // default: slog.Default()
}

// Settler takes purchases to claimed orders and charges, and the provider's answers
// to tickets. Any number of them may run; Kafka shares the partitions out.
type Settler struct {
	cfg     SettlerConfig
	parts   lifecycle.Together
	counted settlerCounters
}

// NewSettler returns a settler that has not started.
func NewSettler(cfg SettlerConfig) *Settler {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = defaultBatch
	}
	s := &Settler{cfg: cfg, counted: newSettlerCounters(cfg.Metrics)}
	s.parts.Parts = []lifecycle.Part{
		kafka.NewConsumer(kafka.ConsumerConfig{Broker: cfg.Broker, Group: GroupClaim, Topic: onsale.TopicPurchases,
			MaxBatch: cfg.MaxBatch, Handle: s.claim, Lost: cfg.Producer.BuryLoss, Metrics: cfg.Metrics, Log: cfg.Log}),
		kafka.NewConsumer(kafka.ConsumerConfig{Broker: cfg.Broker, Group: GroupFinalise, Topic: onsale.TopicResults,
			MaxBatch: cfg.MaxBatch, Handle: s.finalise, Lost: cfg.Producer.BuryLoss, Metrics: cfg.Metrics, Log: cfg.Log}),
	}
	return s
}

// Start joins both consumer groups.
func (s *Settler) Start(ctx context.Context) error { return s.parts.Start(ctx) }

// Stop lets the batches under way end and leaves the groups.
func (s *Settler) Stop(ctx context.Context) error { return s.parts.Stop(ctx) }

// claim settles a batch of purchases.
func (s *Settler) claim(ctx context.Context, batch []kafka.Record) error {
	return settle(ctx, s, stageClaim, batch, wellFormed, func(ctx context.Context, letters []letter[onsale.Purchase]) error {
		charges, news, err := s.cfg.Store.Claim(ctx, contents(letters))
		if err != nil {
			return err
		}
		messages := make([]kafka.Message, 0, len(charges)+len(news))
		for _, c := range charges {
			messages = append(messages, kafka.Message{Topic: onsale.TopicCharges, Key: string(c.Order), Value: c})
		}
		if err := s.cfg.Producer.Produce(ctx, append(messages, tell(news)...)...); err != nil {
			return fmt.Errorf("tell what was claimed: %w", err)
		}
		s.counted.claimed(charges, news)
		return nil
	})
}

// finalise settles a batch of the provider's answers.
func (s *Settler) finalise(ctx context.Context, batch []kafka.Record) error {
	return settle(ctx, s, stageFinalise, batch, wellAnswered, func(ctx context.Context, letters []letter[onsale.ChargeResult]) error {
		news, strays, err := s.cfg.Store.Finalise(ctx, contents(letters))
		if err != nil {
			return err
		}
		for _, stray := range strays {
			l := letters[stray.Index]
			s.counted.strays(stray.Reason).Inc()
			s.cfg.Log.Error("the provider's answer fits no open order; it is on record and in the dead-letter topic",
				"order", l.content.Order, "outcome", l.content.Outcome, "reference", l.content.Reference, "reason", stray.Reason)
			if err := s.cfg.Producer.DeadLetter(ctx, l.record, errors.New(stray.Reason)); err != nil {
				return err
			}
		}
		if err := s.cfg.Producer.Produce(ctx, tell(news)...); err != nil {
			return fmt.Errorf("tell what was finalised: %w", err)
		}
		s.counted.finalised(news)
		return nil
	})
}

func tell(news []onsale.OrderNews) []kafka.Message {
	messages := make([]kafka.Message, len(news))
	for i, n := range news {
		messages[i] = kafka.Message{Topic: onsale.TopicOrders, Key: string(n.Order), Value: n}
	}
	return messages
}

// letter is a record with what it says.
type letter[T any] struct {
	record  kafka.Record
	content T
}

func contents[T any](letters []letter[T]) []T {
	out := make([]T, len(letters))
	for i := range letters {
		out[i] = letters[i].content
	}
	return out
}

// settle decodes a batch and handles it. What can't be read, or is refused by
// check, or by Postgres for what it says, is dead-lettered.
func settle[T any](ctx context.Context, s *Settler, stage string, batch []kafka.Record,
	check func(*T) error, handle func(context.Context, []letter[T]) error) error {
	letters := make([]letter[T], 0, len(batch))
	for _, r := range batch {
		content, err := kafka.Decode[T](r)
		if err == nil {
			err = check(&content)
		}
		if err != nil {
			if err := s.bury(ctx, stage, r, err); err != nil {
				return err
			}
			continue
		}
		letters = append(letters, letter[T]{r, content})
	}
	return handleOrSplit(ctx, s, stage, letters, handle)
}

// handleOrSplit handles the letters. If Postgres refuses their data it halves them
// until the culprit is alone, and dead-letters that one: the checks before should
// have caught it, but one record they missed must not stop the sale.
func handleOrSplit[T any](ctx context.Context, s *Settler, stage string, letters []letter[T],
	handle func(context.Context, []letter[T]) error) error {
	if len(letters) == 0 {
		return nil
	}
	err := handle(ctx, letters)
	if err == nil || !hopeless(err) {
		return err
	}
	if len(letters) == 1 {
		return s.bury(ctx, stage, letters[0].record, err)
	}
	half := len(letters) / 2
	if err := handleOrSplit(ctx, s, stage, letters[:half], handle); err != nil {
		return err
	}
	return handleOrSplit(ctx, s, stage, letters[half:], handle)
}

func (s *Settler) bury(ctx context.Context, stage string, r kafka.Record, reason error) error {
	s.counted.deadOf(stage).Inc()
	s.cfg.Log.Error("a record can't be processed; it is in the dead-letter topic",
		"stage", stage, "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", reason)
	return s.cfg.Producer.DeadLetter(ctx, r, reason)
}
