package checkout

import (
	"context"
	"log/slog"

	"onsale"
	"onsale/holds"
	"onsale/internal/kafka"
)

// ConfirmerGroup is the consumer group that tells Redis how orders ended.
const ConfirmerGroup = "onsale-confirm"

// NewConfirmer returns the part that follows the orders' news and confirms or
// frees their holds: what is ticketed is sold, what came to nothing is available
// again. While an event's stock is being rebuilt its news wait: applied before
// the rebuild, they would be undone by it.
func NewConfirmer(b kafka.Broker, producer *kafka.Producer, desk *holds.Desk, log *slog.Logger) *kafka.Consumer {
	c := confirmer{producer: producer, desk: desk, log: log}
	return kafka.NewConsumer(kafka.ConsumerConfig{Broker: b, Group: ConfirmerGroup, Topic: onsale.TopicOrders, Handle: c.handle, Log: log})
}

type confirmer struct {
	producer *kafka.Producer
	desk     *holds.Desk
	log      *slog.Logger
}

func (c confirmer) handle(ctx context.Context, batch []kafka.Record) error {
	byEvent := map[onsale.EventID][]holds.Settlement{}
	epochs := map[onsale.EventID]onsale.Epoch{}
	for _, r := range batch {
		news, err := kafka.Decode[onsale.OrderNews](r)
		event, epoch, ok := news.Hold.Parse()
		if err != nil || !ok {
			c.log.Error("unreadable order news", "partition", r.Partition, "offset", r.Offset, "error", err)
			if err := c.producer.DeadLetter(ctx, r, onsale.Refuse(onsale.CodeBadRequest, "not the news of an order")); err != nil {
				return err
			}
			continue
		}
		if !news.State.Final() {
			continue
		}
		byEvent[event] = append(byEvent[event], holds.Settlement{Hold: news.Hold, Sold: news.State == onsale.OrderTicketed})
		epochs[event] = max(epochs[event], epoch)
	}
	for event, settlements := range byEvent {
		if err := c.desk.Settle(ctx, event, epochs[event], settlements); err != nil {
			return err
		}
	}
	return nil
}
