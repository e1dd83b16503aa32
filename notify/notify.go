// Package notify tells of orders that have ended, by e-mail and to webhooks.
//
// The promise: what an order came to is queued once for each receiver, however often
// Kafka delivers the news, and is sent at least once, or is dead after three days of
// attempts and on record until an operator replays it. A repeat has the id of what it
// repeats (webhook-id, Message-ID), so that the receiver can tell.
//
// The invariant: no receiver slows another, or the sale. Each lane (all e-mail; each
// webhook) has a breaker and bounded workers of its own, and nothing of the sale waits for
// any of them: they read a topic by a consumer group of their own and a table that is
// theirs alone.
//
//	Kafka orders → queuer → deliveries (Postgres) → dispatcher → lane → SMTP server, webhook
//
//	a process dies …                                  what happens
//	before the deliveries are committed               the batch of news is read again
//	after it, before the offset is                    read again; the ids are there, nothing is queued twice
//	with deliveries taken and not sent                their lease ends, someone else takes them
//	after one was sent, before that is written down   its lease ends and it is sent again, under the same id
//
// No order is promised: of two news of one order the second may come first; each says
// when it was.
package notify

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

// Group is the consumer group that queues deliveries.
const Group = "onsale-notify"

// Book is where deliveries wait. Everything in it may be repeated.
type Book interface {
	// QueueNews queues news for whoever is to be told and returns how many deliveries are new.
	QueueNews(ctx context.Context, news []onsale.OrderNews) (queued int, err error)
	// Lanes returns the webhooks that are told, and which lanes have deliveries due.
	Lanes(ctx context.Context) (webhooks []onsale.Webhook, due map[onsale.Lane]bool, err error)
	// TakeDeliveries takes due deliveries of a lane for the time of a lease.
	TakeDeliveries(ctx context.Context, lane onsale.Lane, most int, lease time.Duration) ([]onsale.Delivery, error)
	// EndDeliveries writes down what came of them.
	EndDeliveries(ctx context.Context, outcomes []onsale.DeliveryOutcome) error
	// DisableWebhook has a webhook told nothing more.
	DisableWebhook(ctx context.Context, id onsale.WebhookID, reason string) error
	// KeepDeliveries gives up what can't be told and deletes what is old, a portion each.
	KeepDeliveries(ctx context.Context, portion int) (dead int, more bool, err error)
	// CountDeliveries says how the queues stand.
	CountDeliveries(ctx context.Context) (map[onsale.Channel]onsale.DeliveryCounts, error)
}

// Config says what a notifier works with. Broker and Book are needed.
type Config struct {
	Broker   kafka.Broker
	Book     Book
	Keys     Keyring      // of the webhooks' secrets
	Loopback bool         // webhooks may be on this machine, and speak plain HTTP there
	Mail     *MailConfig  // nil: e-mail waits for a process that sends it
	Metrics  *metrics.Set // default: a set that nobody reads
	Log      *slog.Logger // default: slog.Default()
}

// Notifier is the part that tells. Any number of them share the work.
type Notifier struct{ chain lifecycle.Chain }

var _ lifecycle.Part = (*Notifier)(nil)

// New returns a notifier that has not started, or says in one line what is wrong with the
// configuration of its mail.
func New(cfg Config) (*Notifier, error) {
	if cfg.Book == nil {
		return nil, errors.New("notify: a notifier needs a book")
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	m := newMeters(cfg.Metrics)
	d := newDispatcher(cfg, m)
	if cfg.Mail != nil {
		mailer, err := newMailer(*cfg.Mail)
		if err != nil {
			return nil, fmt.Errorf("notify: %w", err)
		}
		d.mailer = mailer
	}
	q := &queuer{book: cfg.Book, wake: d.wake, meters: m, log: cfg.Log}
	n := &Notifier{}
	n.chain.Parts = []lifecycle.Part{
		d, &keeper{book: cfg.Book, meters: m, log: cfg.Log},
		kafka.NewConsumer(kafka.ConsumerConfig{Broker: cfg.Broker, Group: Group, Topic: onsale.TopicOrders, Handle: q.handle, Metrics: cfg.Metrics, Log: cfg.Log}),
	}
	return n, nil
}

// Start implements lifecycle.Part.
func (n *Notifier) Start(ctx context.Context) error { return n.chain.Start(ctx) }

// Stop implements lifecycle.Part. What is being sent has a moment to end; what is taken
// and not begun is given back.
func (n *Notifier) Stop(ctx context.Context) error { return n.chain.Stop(ctx) }
