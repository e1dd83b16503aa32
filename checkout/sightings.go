package checkout

import (
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// sightings is what a reconciler has seen of each event when it last could, as metrics:
//
//	onsale_unreconciled{kind}             what only a person can mend, by what was last counted
//	onsale_reconcile_age_seconds          how long ago the event was looked through that has waited longest
//	onsale_reconcile_missed_total{step}   what could not be looked at; step "event" are whole ones
//
// So whatever isn't looked at shows: by the counter at once, and by the age if it lasts,
// or if nobody looks at all.
type sightings struct {
	set *metrics.Set

	mu     sync.Mutex                          // scrapes come at any time
	unseen time.Time                           // under mu: since when some event hasn't been looked through
	at     map[onsale.EventID]time.Time        // under mu: when each was looked through, or first expected
	counts map[onsale.EventID]map[string]int64 // under mu: by kind
}

// unmendedKinds are what only a person can mend; see persist.Store.Unmended.
var unmendedKinds = []string{"order_without_claim", "charge_without_result", "refund_overdue", "refund_refused", "refund_failed"}

func newSightings(set *metrics.Set) *sightings {
	s := &sightings{set: set, unseen: time.Now(), at: map[onsale.EventID]time.Time{}, counts: map[onsale.EventID]map[string]int64{}}
	set.GetOrCreateGauge("onsale_reconcile_age_seconds", s.age)
	for _, kind := range unmendedKinds {
		s.unreconciled(kind).Set(0)
	}
	return s
}

// age is of the event that has waited longest, or, while there are none, of the last round.
func (s *sightings) age() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.unseen).Seconds()
}

// expect says which events there are. What others have left behind is forgotten.
func (s *sightings) expect(events []onsale.EventID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, counts := map[onsale.EventID]time.Time{}, map[onsale.EventID]map[string]int64{}
	for _, event := range events {
		at[event], counts[event] = time.Now(), map[string]int64{}
		if before, known := s.at[event]; known {
			at[event], counts[event] = before, s.counts[event]
		}
	}
	s.at, s.counts = at, counts
}

// looked notes that an event was looked through, all of it.
func (s *sightings) looked(event onsale.EventID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[event] = time.Now()
}

// found notes how many of a kind an event has.
func (s *sightings) found(event onsale.EventID, kind string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[event][kind] = n
}

// missed counts what could not be looked at.
func (s *sightings) missed(step string, n int) {
	s.set.GetOrCreateCounter(`onsale_reconcile_missed_total{step="` + step + `"}`).Add(n)
}

// show sets the gauges to what is known by now.
func (s *sightings) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unseen = time.Now()
	sums := map[string]int64{}
	for event, at := range s.at {
		if at.Before(s.unseen) {
			s.unseen = at
		}
		for kind, n := range s.counts[event] {
			sums[kind] += n
		}
	}
	for kind, n := range sums {
		s.unreconciled(kind).Set(float64(n))
	}
}

func (s *sightings) unreconciled(kind string) *metrics.Gauge {
	return s.set.GetOrCreateGauge(`onsale_unreconciled{kind="`+kind+`"}`, nil)
}
