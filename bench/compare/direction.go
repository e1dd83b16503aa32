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

// betterNames are the ratios, all of them, and the figures whose unit doesn't tell. This, betterParts and betterUnits
// are the one table: what is in none of them is shown and never judged.
var betterNames = map[string]Better{
	// holds
	"http_vs_noop": Higher, "soldout_vs_noop": Higher, "vs_rows": Higher,
	// engine
	"batched_vs_single": Higher, "batched_vs_single_seats": Higher, "full_vs_empty": Lower,
	// settle
	"checkout_vs_hold": Lower, "backlog_memory": Lower,
	// feed
	"fanout_vs_floor": Lower, "fanout_cpu_vs_floor": Lower, "fanout_work_vs_floor": Lower, "stall_effect": Lower, "stalled": Higher,
	"idle_cpu": Lower, "load_cpu": Lower, "bytes_per_conn": Lower, "herd_effect": Lower, "churn_memory": Lower, "churn_files": Lower,
	// rush
	"error_rate": Lower, "feeds_checked": Higher, "settled": Higher, "settled_by_feed": Higher,
	"busy": Lower, "errors": Lower, "unanswered": Lower, "unsettled": Lower, "feed_dropped": Lower,
	"settled_by_get": Lower,
	// what depends on how long the crowd was let in, and on what was sold
	"duration": Neither, "feed_bytes": Neither, "update": Neither, "request_rate": Neither, "settled_rate": Neither,
	"sold_of_capacity": Neither, "refused_of_holds": Neither,
	"cpu_bench": Neither, // the crowd's own
}

// betterParts are by how a name begins or ends: the rest of it is whose it is.
var betterParts = []struct {
	prefix, suffix string
	better         Better
}{
	{"onsale_vs_", "", Higher}, // what a peer reaches beside it
	{"cpu_of_", "", Higher},    // what a hold costs a peer, over what it costs Onsale
	{"", "_flat", Lower},       // what an operation costs several processes, over one
	{"used_", "", Neither},     // what of a machine that does the rest as well
}

// betterUnits are by the first word of a figure's unit: rates, times, sizes and processors that are busy.
var betterUnits = map[string]Better{
	"1/s": Higher, "ms": Lower, "µs": Lower, "s": Lower, "bytes": Lower, "%": Lower, "processors": Lower,
}

// direction is which way a figure or a ratio is better; unit is "" of a ratio.
func direction(name, unit string) Better {
	if better, known := named(name); known {
		return better
	}
	first, _, _ := strings.Cut(unit, " ")
	return betterUnits[first]
}

// named is the way that a name alone tells.
func named(name string) (better Better, known bool) {
	if better, known := betterNames[name]; known {
		return better, true
	}
	for _, part := range betterParts {
		if strings.HasPrefix(name, part.prefix) && strings.HasSuffix(name, part.suffix) {
			return part.better, true
		}
	}
	return Neither, false
}
