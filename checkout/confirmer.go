package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/crashpoint"
	"onsale/internal/kafka"
)

const (
	// ConfirmerGroup is the consumer group that tells Redis how orders ended.
	ConfirmerGroup = "onsale-confirm"
	// confirmPatience is how long a batch of news waits for events whose stock is being
	// laid anew. After it their news are left to Recovery, so that they don't hold up
	// the others'.
	confirmPatience = 5 * time.Second
	confirmPause    = 100 * time.Millisecond
)

// Layouts finds an event's layout; unknown_event if there is none.
type Layouts func(context.Context, onsale.EventID) (*onsale.Layout, error)

// NewConfirmer returns the part that follows the orders' news and confirms or
// frees their holds: what is ticketed is sold, what came to nothing or was refunded is
// available again. While an event's stock is being laid anew its news wait, since the laying
// could undo them.
func NewConfirmer(b kafka.Broker, producer *kafka.Producer, desk *holds.Desk, layouts Layouts, log *slog.Logger) *kafka.Consumer {
	c := confirmer{producer: producer, desk: desk, layouts: layouts, patience: confirmPatience, log: log}
	return c.consumer(b)
}

func (c confirmer) consumer(b kafka.Broker) *kafka.Consumer {
	return kafka.NewConsumer(kafka.ConsumerConfig{Broker: b, Group: ConfirmerGroup, Topic: onsale.TopicOrders, Handle: c.handle, Log: c.log})
}

type confirmer struct {
	producer *kafka.Producer
	desk     *holds.Desk
	layouts  Layouts
	patience time.Duration // confirmPatience, except in tests
	log      *slog.Logger
}

// errNotOurs says that news can never be acted on.
var errNotOurs = errors.New("not the news of an order of ours")

// endings are the ended orders of one event in a batch of news.
type endings struct {
	layout      *onsale.Layout
	settlements []holds.Settlement
}

func (c confirmer) handle(ctx context.Context, batch []kafka.Record) error {
	byEvent := map[onsale.EventID]*endings{}
	for _, r := range batch {
		news, l, err := c.read(ctx, r)
		switch {
		case errors.Is(err, errNotOurs):
			c.log.Error("order news that nobody can act on", "partition", r.Partition, "offset", r.Offset, "error", err)
			if err := c.producer.DeadLetter(ctx, r, err); err != nil {
				return err
			}
		case err != nil:
			return err
		case news.State.Final():
			e := byEvent[l.Event.ID]
			if e == nil {
				e = &endings{layout: l}
				byEvent[l.Event.ID] = e
			}
			e.settlements = append(e.settlements, settlementOf(&news))
		}
	}
	var errs []error
	deadline := time.Now().Add(c.patience) // of all events together: they may all be laid at once
	for _, e := range byEvent {
		errs = append(errs, c.settle(ctx, e, deadline))
	}
	return errors.Join(errs...)
}

// read returns a record's news and the layout of their event, or errNotOurs. Any
// other error passes, or is for a person to mend, after which the news are as good
// as ever.
func (c confirmer) read(ctx context.Context, r kafka.Record) (onsale.OrderNews, *onsale.Layout, error) {
	news, err := kafka.Decode[onsale.OrderNews](r)
	if err != nil {
		return news, nil, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	event, _, ok := news.Hold.Parse()
	if !ok {
		return news, nil, fmt.Errorf("%w: %q is no hold's id", errNotOurs, news.Hold)
	}
	l, err := c.layouts(ctx, event)
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

// settle settles an event's holds; if its stock is being laid anew, until the deadline.
func (c confirmer) settle(ctx context.Context, e *endings, deadline time.Time) error {
	crashpoint.Reach(crashpoint.BeforeTellingRedis)
	for {
		err := c.desk.Settle(ctx, e.layout, e.settlements)
		if onsale.CodeOf(err) != onsale.CodeRecovering {
			return err
		}
		if time.Now().After(deadline) {
			c.log.Warn("the stock is still being laid; recovery will settle these holds", "event", e.layout.Event.ID, "holds", len(e.settlements))
			return nil
		}
		select {
		case <-time.After(confirmPause):
		case <-ctx.Done():
			return err
		}
	}
}
