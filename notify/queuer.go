package notify

import (
	"context"
	"log/slog"

	"onsale"
	"onsale/internal/kafka"
)

// queuer turns orders' news into deliveries.
type queuer struct {
	book   Book
	wake   chan<- struct{} // the dispatcher's
	meters *meters
	log    *slog.Logger
}

// handle returns nil when everybody who is to be told of the batch has a delivery.
func (q *queuer) handle(ctx context.Context, batch []kafka.Record) error {
	news := make([]onsale.OrderNews, 0, len(batch))
	for _, r := range batch {
		n, err := kafka.Decode[onsale.OrderNews](r)
		if err != nil {
			// The stage that owns the topic dead-letters it; here nobody can be told of it.
			q.meters.untellable.Inc()
			q.log.Warn("an order's news can't be read; nobody is told", "partition", r.Partition, "offset", r.Offset, "error", err)
			continue
		}
		if _, _, ok := n.Order.Parse(); !ok {
			q.meters.untellable.Inc()
			q.log.Warn("news name no order; nobody is told", "partition", r.Partition, "offset", r.Offset)
			continue
		}
		news = append(news, n)
	}
	queued, err := q.book.QueueNews(ctx, news)
	if err != nil {
		return err
	}
	if queued > 0 {
		q.meters.queued.Add(queued)
		select {
		case q.wake <- struct{}{}:
		default: // it is to look already
		}
	}
	return nil
}
