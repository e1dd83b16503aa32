package realtime

import (
	"fmt"
	"strconv"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// meters are the gateway's metrics.
type meters struct {
	set           *metrics.Set
	frames        [kinds]*metrics.Counter
	bytes         *metrics.Counter
	ticks         *metrics.Counter
	encodeSeconds *metrics.FloatCounter
	fanOutSeconds *metrics.FloatCounter
	drains        *metrics.Counter
	untellable    *metrics.Counter
	unfollowed    *metrics.Counter
	closes        map[int]*metrics.Counter // by close code; never changed after newMeters
}

// newMeters registers the metrics in set; open says how many connections there are.
func newMeters(set *metrics.Set, open func() int) *meters {
	set.GetOrCreateGauge("onsale_feed_connections", func() float64 { return float64(open()) })
	m := &meters{
		set:           set,
		bytes:         set.GetOrCreateCounter("onsale_feed_sent_bytes_total"),
		ticks:         set.GetOrCreateCounter("onsale_feed_ticks_total"),
		encodeSeconds: set.GetOrCreateFloatCounter("onsale_feed_encode_seconds_total"),
		fanOutSeconds: set.GetOrCreateFloatCounter("onsale_feed_fanout_seconds_total"),
		drains:        set.GetOrCreateCounter("onsale_feed_slow_writes_total"),
		untellable:    set.GetOrCreateCounter("onsale_feed_undecodable_news_total"),
		unfollowed:    set.GetOrCreateCounter("onsale_feed_unfollowed_holds_total"),
		closes:        map[int]*metrics.Counter{},
	}
	for k, name := range kindNames {
		m.frames[k] = set.GetOrCreateCounter(fmt.Sprintf("onsale_feed_frames_total{type=%q}", name))
	}
	for _, code := range []int{onsale.CloseUnauthenticated, onsale.CloseTooSlow, onsale.CloseBadFrame, onsale.CloseRestarting} {
		m.closes[code] = set.GetOrCreateCounter(fmt.Sprintf("onsale_feed_closes_total{code=%q}", strconv.Itoa(code)))
	}
	return m
}

// refused counts an upgrade that was refused for the reason.
func (m *meters) refused(r reason) {
	m.set.GetOrCreateCounter(fmt.Sprintf("onsale_feed_refused_total{reason=%q}", string(r))).Inc()
}
