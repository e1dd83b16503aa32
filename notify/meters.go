package notify

import (
	"math"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// meters is what a notifier counts, and how the queues stood when they were looked at
// last; those are the same in every process.
type meters struct {
	queued     *metrics.Counter // deliveries that are new
	untellable *metrics.Counter // news that can't be read
	expired    *metrics.Counter // given up untried: their time was over, or their receiver gone
	channels   map[onsale.Channel]*channelMeters
}

type channelMeters struct {
	sent, failed, dead *metrics.Counter // failed attempts are those that are tried again
	waiting            atomic.Int64
	oldestSeconds      atomic.Uint64 // bits of a float64
	open               atomic.Int64  // lanes whose breaker rests
}

// newMeters registers the meters in set, which must be no other notifier's.
func newMeters(set *metrics.Set) *meters {
	m := &meters{
		queued:     set.NewCounter("onsale_deliveries_queued_total"),
		untellable: set.NewCounter("onsale_deliveries_untellable_total"),
		expired:    set.NewCounter("onsale_deliveries_expired_total"),
		channels:   map[onsale.Channel]*channelMeters{},
	}
	for _, c := range []onsale.Channel{onsale.ChannelEmail, onsale.ChannelWebhook} {
		label := `{channel="` + string(c) + `"}`
		cm := &channelMeters{
			sent:   set.NewCounter("onsale_deliveries_sent_total" + label),
			failed: set.NewCounter("onsale_deliveries_failed_total" + label),
			dead:   set.NewCounter("onsale_deliveries_dead_total" + label),
		}
		set.NewGauge("onsale_deliveries_waiting"+label, func() float64 { return float64(cm.waiting.Load()) })
		set.NewGauge("onsale_deliveries_oldest_seconds"+label, func() float64 { return math.Float64frombits(cm.oldestSeconds.Load()) })
		set.NewGauge("onsale_delivery_lanes_resting"+label, func() float64 { return float64(cm.open.Load()) })
		m.channels[c] = cm
	}
	return m
}

func (m *meters) ended(c onsale.Channel, o onsale.DeliveryOutcome) {
	switch o.State {
	case onsale.DeliverySent:
		m.channels[c].sent.Inc()
	case onsale.DeliveryDead:
		m.channels[c].dead.Inc()
	default:
		m.channels[c].failed.Inc()
	}
}

func (m *meters) setOpen(open map[onsale.Channel]int) {
	for c, cm := range m.channels {
		cm.open.Store(int64(open[c]))
	}
}

func (m *meters) setQueues(counts map[onsale.Channel]onsale.DeliveryCounts) {
	for c, cm := range m.channels {
		cm.waiting.Store(counts[c].Queued)
		cm.oldestSeconds.Store(math.Float64bits(counts[c].OldestAge.Seconds()))
	}
}
