package persist

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// settlerCounters count what the settler did, repeats included: an order that is
// settled twice, after a crash, is counted twice.
type settlerCounters struct{ set *metrics.Set }

// newSettlerCounters shows at 0 what someone is called by: of what first shows as 1 nobody
// sees that it rose.
func newSettlerCounters(set *metrics.Set) settlerCounters {
	c := settlerCounters{set: set}
	for _, reason := range []string{ReasonDoubleCharge, ReasonOrderEnded, ReasonUnknownOrder, ReasonContradicted} {
		c.strays(reason)
	}
	for _, stage := range []string{stageClaim, stageFinalise} {
		c.deadOf(stage)
	}
	return c
}

func (c settlerCounters) claimed(charges []onsale.Charge, news []onsale.OrderNews) {
	c.set.GetOrCreateCounter(`onsale_orders_total{state="claimed"}`).Add(len(charges))
	c.finalised(news)
}

func (c settlerCounters) finalised(news []onsale.OrderNews) {
	for _, n := range news {
		c.set.GetOrCreateCounter(fmt.Sprintf(`onsale_orders_total{state=%q}`, n.State)).Inc()
		if n.State == onsale.OrderRejected {
			// Anything but sold_out is a defect of whoever granted the hold.
			c.set.GetOrCreateCounter(fmt.Sprintf(`onsale_orders_rejected_total{reason=%q}`, n.Reason)).Inc()
		}
	}
}

func (c settlerCounters) strays(reason string) *metrics.Counter {
	return c.set.GetOrCreateCounter(fmt.Sprintf(`onsale_stray_charges_total{reason=%q}`, reason))
}

func (c settlerCounters) deadOf(stage string) *metrics.Counter {
	return c.set.GetOrCreateCounter(fmt.Sprintf(`onsale_dead_letters_total{stage=%q}`, stage))
}
