package checkout

// The promise: Redis is told of every order's end, however long an event's stock can't be
// told of it, and no event waits for another's.
//
// Events are settled side by side. What an event's stock doesn't take soon, since it is
// being laid anew or its shard doesn't answer, is produced to a topic of its own, acknowledged,
// and only then is the batch committed; from there it is told again and again until it is
// taken (late). The news' own topic is never waited on for that event meanwhile: for as
// long as it is known to be away its news go the same way at once.
//
// So an order that came to be in Postgres after the view that its event's stock was laid
// around, and of which that stock knows nothing, is written into it when it is ticketed:
// its news are settled after the laying, never before, and never dropped. A crash between
// any two steps tells the same once more; a hold keeps what all news of its order leave
// it, so neither repetition nor order matters (confirm.lua, refund.lua).

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

const (
	// ConfirmerGroup is the consumer group that tells Redis how orders ended.
	ConfirmerGroup = "onsale-confirm"
	// LateGroup is the one that tells it later what it could not be told then.
	LateGroup = "onsale-confirm-late"
	// confirmPatience is how long a batch of news waits for events whose stock is being
	// laid anew, which mostly takes less.
	confirmPatience = time.Second
	confirmPause    = 100 * time.Millisecond
	// confirmAtOnce is how many events of a batch are settled side by side.
	confirmAtOnce = 16
	// latePause is how long it takes at the least until what could not be told comes round again.
	latePause = time.Second
)

// Layouts finds an event's layout; unknown_event if there is none.
type Layouts func(context.Context, onsale.EventID) (*onsale.Layout, error)

// ConfirmerConfig says what a confirmer works with. All but Metrics and Log are needed.
type ConfirmerConfig struct {
	Broker   kafka.Broker
	Producer *kafka.Producer // outlives the confirmer
	Desk     *holds.Desk
	Layouts  Layouts
	Metrics  *metrics.Set // default: one that nobody reads
	Log      *slog.Logger // default: slog.Default()
}

// Confirmer follows the orders' news and confirms or frees their holds: what is ticketed
// is sold, what came to nothing or was refunded is available again.
type Confirmer struct {
	cfg      ConfirmerConfig
	patience time.Duration // confirmPatience, except in tests
	away     away
	parts    lifecycle.Together
	put      *metrics.Counter
	dead     *metrics.Counter
}

// NewConfirmer returns a confirmer that has not started.
func NewConfirmer(cfg ConfirmerConfig) *Confirmer {
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	c := &Confirmer{cfg: cfg, patience: confirmPatience, put: cfg.Metrics.GetOrCreateCounter("onsale_news_late_total"),
		dead: cfg.Metrics.GetOrCreateCounter(`onsale_dead_letters_total{stage="confirm"}`)}
	follow := func(group, topic string, handle func(context.Context, []kafka.Record) error) lifecycle.Part {
		return kafka.NewConsumer(kafka.ConsumerConfig{Broker: cfg.Broker, Group: group, Topic: topic, Handle: handle,
			Lost: cfg.Producer.BuryLoss, Metrics: cfg.Metrics, Log: cfg.Log})
	}
	c.parts.Parts = []lifecycle.Part{follow(ConfirmerGroup, onsale.TopicOrders, c.handle), follow(LateGroup, onsale.TopicLateNews, c.handleLate)}
	return c
}

// Start joins both consumer groups.
func (c *Confirmer) Start(ctx context.Context) error { return c.parts.Start(ctx) }

// Stop lets the batches under way end and leaves the groups.
func (c *Confirmer) Stop(ctx context.Context) error { return c.parts.Stop(ctx) }

// handle settles what the news say.
func (c *Confirmer) handle(ctx context.Context, batch []kafka.Record) error {
	_, err := c.settle(ctx, batch, c.away.lately, c.patience)
	return err
}

// handleLate does so for news that could not be told before. What still can't goes round once more.
func (c *Confirmer) handleLate(ctx context.Context, batch []kafka.Record) error {
	late, err := c.settle(ctx, batch, c.away.just, 0)
	if err == nil && late > 0 {
		lifecycle.Pause(ctx, latePause) // cut short, the consumer is stopping
	}
	return err
}

// errNotOurs says that news can never be acted on.
var errNotOurs = errors.New("not the news of an order of ours")

// settle settles the holds of a batch of news, waits with patience for events that are
// being laid anew, and doesn't try those that skip names. What it could not settle it puts
// into the topic of late news, and returns how many they are.
func (c *Confirmer) settle(ctx context.Context, batch []kafka.Record, skip func(onsale.EventID) bool, patience time.Duration) (late int, err error) {
	byEvent, err := c.sort(ctx, batch)
	if err != nil {
		return 0, err
	}
	unsettled := c.tellAll(ctx, byEvent, skip, time.Now().Add(patience))
	if ctx.Err() != nil { // we are being stopped: the batch is read again
		return 0, fmt.Errorf("news not settled: %w", ctx.Err())
	}
	var messages []kafka.Message
	for _, e := range unsettled {
		for i := range e.news {
			messages = append(messages, kafka.Message{Topic: onsale.TopicLateNews, Key: string(e.news[i].Order), Value: e.news[i]})
		}
	}
	if len(messages) == 0 {
		return 0, nil
	}
	if err := c.cfg.Producer.Produce(ctx, messages...); err != nil {
		return 0, fmt.Errorf("keep %d news that could not be told: %w", len(messages), err)
	}
	c.put.Add(len(messages))
	return len(messages), nil
}

// sort returns the orders of a batch that have ended, by event, and dead-letters what
// nobody can act on.
func (c *Confirmer) sort(ctx context.Context, batch []kafka.Record) (map[onsale.EventID]*endings, error) {
	byEvent := map[onsale.EventID]*endings{}
	for _, r := range batch {
		news, l, err := c.read(ctx, r)
		switch {
		case errors.Is(err, errNotOurs):
			c.cfg.Log.Error("order news that nobody can act on", "partition", r.Partition, "offset", r.Offset, "error", err)
			if err := c.cfg.Producer.DeadLetter(ctx, r, err); err != nil {
				return nil, err
			}
			c.dead.Inc()
		case err != nil:
			return nil, err
		case news.State.Final():
			e := byEvent[l.Event.ID]
			if e == nil {
				e = &endings{layout: l}
				byEvent[l.Event.ID] = e
			}
			e.news = append(e.news, news)
		}
	}
	return byEvent, nil
}

// read returns a record's news and the layout of their event, or errNotOurs. Any
// other error passes, or is for a person to mend, after which the news are as good
// as ever.
func (c *Confirmer) read(ctx context.Context, r kafka.Record) (onsale.OrderNews, *onsale.Layout, error) {
	news, err := kafka.Decode[onsale.OrderNews](r)
	if err != nil {
		return news, nil, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	event, _, ok := news.Hold.Parse()
	if !ok {
		return news, nil, fmt.Errorf("%w: %q is no hold's id", errNotOurs, news.Hold)
	}
	l, err := c.cfg.Layouts(ctx, event)
	if onsale.CodeOf(err) == onsale.CodeUnknownEvent {
		return news, nil, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	if err != nil {
		return news, nil, fmt.Errorf("find the event of order %s: %w", news.Order, err)
	}
	if news.State == onsale.OrderTicketed || news.State == onsale.OrderRefunded { // else the lines are not looked at
		if _, err := l.CheckLines(news.Owned()); err != nil {
			return news, nil, fmt.Errorf("%w: %w", errNotOurs, err)
		}
	}
	return news, l, nil
}

// settlementOf is what the news of an order that has ended mean for its hold.
func settlementOf(news *onsale.OrderNews) holds.Settlement {
	return holds.Settlement{Hold: news.Hold, Buyer: news.Buyer, Lines: news.Owned(),
		Sold: news.State == onsale.OrderTicketed, Refunded: news.State == onsale.OrderRefunded}
}
