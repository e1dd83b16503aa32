package realtime

import (
	"log/slog"

	"onsale"
	"onsale/internal/crashpoint"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
)

// NewTeller returns the part that tells buyers of their orders: it follows the
// orders' topic from its end, and hands all news to the gateway. Every process
// hears all of them, since any may have the buyer's connection.
func NewTeller(g *Gateway, broker kafka.Broker, log *slog.Logger) lifecycle.Part {
	if log == nil {
		log = slog.Default()
	}
	return kafka.NewTail(kafka.TailConfig{
		Broker: broker,
		Topic:  onsale.TopicOrders,
		Log:    log,
		Handle: func(records []kafka.Record) {
			for _, r := range records {
				news, err := kafka.Decode[onsale.OrderNews](r)
				if err != nil {
					// The stage that owns the topic dead-letters it; here it is only news.
					g.meters.untellable.Inc()
					log.Warn("an order's news can't be read; its buyer isn't told", "error", err)
					continue
				}
				crashpoint.Reach(crashpoint.BeforeTellingBuyer)
				g.TellOrder(news)
			}
		},
	})
}
