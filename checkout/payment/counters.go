package payment

import (
	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/histogram"
)

// counters is what the worker counts. An order whose charge was put back, or read
// twice, may be counted as captured or declined twice: the ledger counts money.
type counters struct {
	captured *metrics.Counter     // told Kafka: captured
	declined *metrics.Counter     // told Kafka: declined
	deferred *metrics.Counter     // put back at the end of the topic
	dead     *metrics.Counter     // dead-lettered: can never be charged
	letters  *metrics.Counter     // the same, as every stage counts it
	unknown  *metrics.Counter     // attempts without a definite answer
	refused  *metrics.Counter     // called off since the provider can never make them
	timeout  *metrics.Counter     // called off since they were undecided for too long
	seconds  *histogram.Histogram // from the first attempt until Kafka has the result
}

// newCounters registers the counters in set, which must be no other worker's.
func newCounters(set *metrics.Set) counters {
	ended := func(outcome string) *metrics.Counter {
		return set.NewCounter(`onsale_charges_total{outcome="` + outcome + `"}`)
	}
	return counters{
		captured: ended("captured"),
		declined: ended("declined"),
		deferred: ended("deferred"),
		dead:     ended("dead"),
		letters:  set.GetOrCreateCounter(`onsale_dead_letters_total{stage="charge"}`),
		unknown:  set.NewCounter("onsale_charge_unknown_total"),
		refused:  set.NewCounter(`onsale_charges_called_off_total{reason="` + onsale.DeclinedRefused + `"}`),
		timeout:  set.NewCounter(`onsale_charges_called_off_total{reason="` + onsale.DeclinedTimeout + `"}`),
		seconds:  histogram.New(set, "onsale_charge_seconds"),
	}
}

// ended counts a charge whose result Kafka has.
func (c *counters) ended(r onsale.ChargeResult) {
	if r.Outcome == onsale.ChargeCaptured {
		c.captured.Inc()
		return
	}
	c.declined.Inc()
	switch r.Reason {
	case onsale.DeclinedRefused:
		c.refused.Inc()
	case onsale.DeclinedTimeout:
		c.timeout.Inc()
	}
}
