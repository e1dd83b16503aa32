package settle

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"onsale"
	"onsale/checkout/payment"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
	"onsale/persist"
)

const (
	// whole leaves the batches as they are in production.
	whole = 0
	// acceptTogether is how many purchases are produced at once.
	acceptTogether = 5_000
	// settlers is how many share the work, as those of several processes do.
	settlers = 2
	// patience is how long the pipeline may stand still before the bench gives up.
	patience = 60 * time.Second
)

// line is a settlement pipeline of its own: topics, groups and an event that no other has.
type line struct {
	event    *onsale.Layout
	broker   kafka.Broker
	producer *kafka.Producer
	chain    lifecycle.Chain
	tail     *kafka.Tail

	mu       sync.Mutex
	accepted map[onsale.OrderID]time.Time // under mu: when each should have been accepted; nil if nobody asks
	took     []float64                    // under mu: ms, of those with tickets
	ticketed int                          // under mu
	news     chan struct{}                // has one when ticketed has changed
}

// openLine prepares a line for so many orders, with batches of at most so many.
func (r *run) openLine(ctx context.Context, orders, batch int) (l *line, err error) {
	id := "settle-" + strconv.Itoa(len(r.events)+1)
	l = &line{broker: r.house.broker(id), accepted: map[onsale.OrderID]time.Time{}, news: make(chan struct{}, 1)}
	if l.event, err = r.house.createEvent(ctx, onsale.EventID(id), orders); err != nil {
		return nil, err
	}
	r.events = append(r.events, l.event.Event.ID)
	if err := kafka.EnsureTopics(ctx, l.broker, kafka.DefaultPartitions); err != nil {
		return nil, err
	}
	if l.producer, err = kafka.NewProducer(l.broker); err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	l.tail = kafka.NewTail(kafka.TailConfig{Broker: l.broker, Topic: onsale.TopicOrders, Handle: l.hear, Log: log})
	l.chain.Parts = []lifecycle.Part{l.tail}
	for range settlers {
		l.chain.Parts = append(l.chain.Parts,
			persist.NewSettler(persist.SettlerConfig{Store: r.house.store, Broker: l.broker, Producer: l.producer, MaxBatch: batch, Log: log}))
	}
	l.chain.Parts = append(l.chain.Parts,
		payment.NewWorker(payment.WorkerConfig{Broker: l.broker, Producer: l.producer, Provider: atOnce{}, MaxBatch: batch, Log: log}))
	return l, nil
}

// start lets the pipeline work.
func (l *line) start(ctx context.Context) error { return l.chain.Start(ctx) }

func (l *line) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	err := l.chain.Stop(ctx)
	l.producer.Close()
	return err
}

// purchase is one admission for a buyer who comes only once.
func (l *line) purchase(at time.Time) onsale.Purchase {
	hold := onsale.NewHoldID(l.event.Event.ID, 1)
	return onsale.Purchase{
		Order: hold.Order(), Hold: hold, Event: l.event.Event.ID, Epoch: 1, Generation: 1, Buyer: onsale.NewBuyerID(),
		Lines: []onsale.Line{{Section: "floor", Quantity: 1}}, Amount: price, Currency: currency, PaymentToken: "tok_ok", At: at.UTC().Truncate(time.Millisecond),
	}
}

// accept puts purchases into Kafka, as fast as it takes them.
func (l *line) accept(ctx context.Context, n int) error {
	for n > 0 {
		together := min(n, acceptTogether)
		if err := l.produce(ctx, together, time.Now()); err != nil {
			return err
		}
		n -= together
	}
	return nil
}

// acceptAt puts purchases into Kafka, so many a second.
func (l *line) acceptAt(ctx context.Context, n int, rate float64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began, done := time.Now(), 0
	for done < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		owed := min(n, int(rate*time.Since(began).Seconds())) - done
		if owed <= 0 {
			continue
		}
		if err := l.produce(ctx, owed, began.Add(time.Duration(float64(done)/rate*float64(time.Second)))); err != nil {
			return err
		}
		done += owed
	}
	return nil
}

func (l *line) produce(ctx context.Context, n int, at time.Time) error {
	messages := make([]kafka.Message, n)
	l.mu.Lock()
	for i := range messages {
		p := l.purchase(at)
		l.accepted[p.Order] = at
		messages[i] = kafka.Message{Topic: onsale.TopicPurchases, Key: string(p.Event), Value: p}
	}
	l.mu.Unlock()
	return l.producer.Produce(ctx, messages...)
}

// hear counts the orders that have their tickets.
func (l *line) hear(records []kafka.Record) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		news, err := kafka.Decode[onsale.OrderNews](r)
		if err != nil || news.State != onsale.OrderTicketed {
			continue
		}
		if l.accepted == nil {
			l.ticketed++
		} else if at, open := l.accepted[news.Order]; open {
			delete(l.accepted, news.Order) // its news may come twice
			l.ticketed++
			l.took = append(l.took, now.Sub(at).Seconds()*1000)
		}
	}
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// forget drops what is remembered of each order, so that it isn't counted as the pipeline's memory.
func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted, l.took = nil, nil
}

// until waits until so many orders have their tickets, and returns how many have.
func (l *line) until(ctx context.Context, n int) (ticketed int, err error) {
	for {
		l.mu.Lock()
		ticketed = l.ticketed
		l.mu.Unlock()
		if ticketed >= n {
			return ticketed, nil
		}
		select {
		case <-l.news:
		case <-ctx.Done():
			return ticketed, ctx.Err()
		case <-time.After(patience):
			return ticketed, fmt.Errorf("%d of %d orders have their tickets, and for %v there was none more", ticketed, n, patience)
		}
	}
}

// durations are how long each order took, in ms.
func (l *line) durations() []float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.took
}

// atOnce is a provider that has the money the moment it is asked. It is here so that settlement
// is measured, and not a provider. Nothing else is ever asked of it: it would be a defect, and ends the bench.
type atOnce struct{ payment.Provider }

// Charge implements payment.Provider.
func (atOnce) Charge(_ context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	return onsale.ChargeResult{Order: c.Order, Event: c.Event, Outcome: onsale.ChargeCaptured, Reference: "ch_" + string(c.Order),
		Amount: c.Amount, Currency: c.Currency, At: time.Now().UTC()}, nil
}
