package persist

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// settlerCounters count what the settler did, repeats included: an order that is
// settled twice, after a crash, is counted twice.
type settlerCounters struct{ set *metrics.Set }

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

func (c settlerCounters) stray(reason string) {
	c.set.GetOrCreateCounter(fmt.Sprintf(`onsale_stray_charges_total{reason=%q}`, reason)).Inc()
}

func (c settlerCounters) dead(stage string) {
	c.set.GetOrCreateCounter(fmt.Sprintf(`onsale_dead_letters_total{stage=%q}`, stage)).Inc()
}
