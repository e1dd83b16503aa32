package engine

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/histogram"
)

// tally counts a route's requests: how long they took, and which codes they were answered.
type tally struct {
	set     *metrics.Set
	route   string
	seconds *histogram.Histogram

	mu    sync.Mutex                                       // of who changes the map below
	codes atomic.Pointer[map[onsale.Code]*metrics.Counter] // never changed: replaced
}

func (s *Server) tally(route string) *tally {
	t := &tally{set: s.cfg.Metrics, route: route, seconds: s.seconds.With(route)}
	t.codes.Store(&map[onsale.Code]*metrics.Counter{})
	return t
}

// note counts one request.
func (t *tally) note(code onsale.Code, start time.Time) {
	t.count(code)
	t.seconds.Since(start)
}

// count counts one request whose time isn't known.
func (t *tally) count(code onsale.Code) {
	counter := (*t.codes.Load())[code]
	if counter == nil {
		counter = t.add(code)
	}
	counter.Inc()
}

// add is a code's counter, the first time it is answered.
func (t *tally) add(code onsale.Code) *metrics.Counter {
	counter := t.set.GetOrCreateCounter(`onsale_http_requests_total{route="` + t.route + `",code="` + string(code) + `"}`)
	t.mu.Lock()
	defer t.mu.Unlock()
	codes := maps.Clone(*t.codes.Load())
	codes[code] = counter
	t.codes.Store(&codes)
	return counter
}
