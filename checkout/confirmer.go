package checkout

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/kafka"
)

const (
	// ConfirmerGroup is the consumer group that tells Redis how orders ended.
	ConfirmerGroup = "onsale-confirm"
	// confirmPatience is how long news wait for an event whose stock is being laid
	// anew. After it they are left to Recovery, so that no event holds up the others.
	confirmPatience = 5 * time.Second
	confirmPause    = 100 * time.Millisecond
)

// Layouts finds an event's layout; unknown_event if there is none.
type Layouts func(context.Context, onsale.EventID) (*onsale.Layout, error)

// NewConfirmer returns the part that follows the orders' news and confirms or
// frees their holds: what is ticketed is sold, what came to nothing is available
// again. While an event's stock is being laid anew its news wait, since the laying
// could undo them.
func NewConfirmer(b kafka.Broker, producer *kafka.Producer, desk *holds.Desk, layouts Layouts, log *slog.Logger) *kafka.Consumer {
	c := confirmer{producer: producer, desk: desk, layouts: layouts, log: log}
	return kafka.NewConsumer(kafka.ConsumerConfig{Broker: b, Group: ConfirmerGroup, Topic: onsale.TopicOrders, Handle: c.handle, Log: log})
}

type confirmer struct {
	producer *kafka.Producer
	desk     *holds.Desk
	layouts  Layouts
	log      *slog.Logger
}

func (c confirmer) handle(ctx context.Context, batch []kafka.Record) error {
	byEvent := map[onsale.EventID][]holds.Settlement{}
	for _, r := range batch {
		news, err := kafka.Decode[onsale.OrderNews](r)
		event, _, ok := news.Hold.Parse()
		if err == nil && ok {
			_, err = c.layouts(ctx, event)
		}
		switch {
		case err != nil && onsale.CodeOf(err) == onsale.CodeUnavailable:
			return err
		case err != nil || !ok:
			c.log.Error("order news that nobody can act on", "partition", r.Partition, "offset", r.Offset, "error", err)
			if err := c.producer.DeadLetter(ctx, r, errors.Join(errors.New("not the news of an order of ours"), err)); err != nil {
				return err
			}
		case news.State.Final():
			byEvent[event] = append(byEvent[event], holds.Settlement{
				Hold: news.Hold, Sold: news.State == onsale.OrderTicketed, Buyer: news.Buyer, Lines: news.Lines})
		}
	}
	var errs []error
	for event, settlements := range byEvent {
		errs = append(errs, c.settle(ctx, event, settlements))
	}
	return errors.Join(errs...)
}

// settle settles an event's holds; if its stock is being laid anew, for as long as
// the patience lasts.
func (c confirmer) settle(ctx context.Context, event onsale.EventID, settlements []holds.Settlement) error {
	l, err := c.layouts(ctx, event)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(confirmPatience)
	for {
		err := c.desk.Settle(ctx, l, settlements)
		if onsale.CodeOf(err) != onsale.CodeRecovering {
			return err
		}
		if time.Now().After(deadline) {
			c.log.Warn("the stock is still being laid; recovery will settle these holds", "event", event, "holds", len(settlements))
			return nil
		}
		select {
		case <-time.After(confirmPause):
		case <-ctx.Done():
			return err
		}
	}
}
