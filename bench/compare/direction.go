package compare

import "strings"

// Better says which way a figure is better.
type Better int

// The ways.
const (
	Neither Better = iota // it says how much was done, not how well
	Higher
	Lower
)

// betterRatios are the ratios, and the figures whose unit doesn't tell. This and betterUnits
// are the one table: what is in neither is shown and never judged.
var betterRatios = map[string]Better{
	// holds
	"http_vs_noop": Higher, "soldout_vs_noop": Higher, "vs_rows": Higher,
	// engine
	"batched_vs_single": Higher, "batched_vs_single_seats": Higher, "full_vs_empty": Lower,
	// settle
	"checkout_vs_hold": Lower, "backlog_memory": Lower,
	// feed
	"fanout_vs_floor": Lower, "fanout_cpu_vs_floor": Lower, "stall_effect": Lower, "stalled": Higher,
	// rush
	"error_rate": Lower, "feeds_checked": Higher, "settled": Higher, "settled_by_feed": Higher,
	"busy": Lower, "errors": Lower, "unanswered": Lower, "unsettled": Lower, "feed_dropped": Lower,
	"settled_by_get": Lower,
	// what depends on how long the crowd was let in, and on what was sold
	"duration": Neither, "feed_bytes": Neither, "update": Neither, "request_rate": Neither, "settled_rate": Neither,
}

// betterUnits are by the first word of a figure's unit: rates, times and sizes.
var betterUnits = map[string]Better{"1/s": Higher, "ms": Lower, "µs": Lower, "s": Lower, "bytes": Lower, "%": Lower}

// direction is which way a figure or a ratio is better; unit is "" of a ratio.
func direction(name, unit string) Better {
	if better, known := betterRatios[name]; known {
		return better
	}
	if strings.HasPrefix(name, "onsale_vs_") { // what a peer reaches beside it
		return Higher
	}
	first, _, _ := strings.Cut(unit, " ")
	return betterUnits[first]
}
