package tiers

import (
	"fmt"
	"math"
	"time"

	"onsale"
	"onsale/bench"
)

const (
	// flatWithin is by how much more CPU time an operation may cost in the house of several before it is said
	// not to be flat. The clock that counts it has ticks of 10 ms, and several processes on few cores disturb each other's caches.
	flatWithin = 0.3
	// leastCounted is how much CPU time a step must have taken in each house before its cost is compared: ten ticks.
	leastCounted = 100 * time.Millisecond
	// evenWithin is by how much a process's part of a tier's work may differ from an equal part of it,
	// in parts of the whole, besides what chance does where a hash decides.
	evenWithin = 0.05
	// chances is how many standard deviations of chance are allowed besides.
	chances = 5
)

// costs are the operations that are compared, by whose CPU time.
var costs = []struct{ tier, step string }{
	{tierFront, stepSession}, {tierFront, stepHold}, {tierFront, stepCheckout}, {tierFront, stepRead}, {tierFront, stepRefusal},
	{tierRedis, stepHold}, {tierRedis, stepCheckout},
	{tierFeed, stepConnect},
	{tierKafka, stepCheckout}, {tierSettle, stepCheckout}, {tierPostgres, stepCheckout},
}

// flatness is what each operation costs in the house of many over what it costs in the house of one.
func flatness(one, many *ledger) map[string]float64 {
	ratios := map[string]float64{}
	for _, c := range costs {
		if base := one.cost(c.tier, c.step); base > 0 && one.counts(c.tier, c.step) && many.counts(c.tier, c.step) {
			ratios[c.tier+"_"+c.step+"_flat"] = many.cost(c.tier, c.step) / base
		}
	}
	if base := one.perFrame(); base > 0 {
		ratios["feed_frame_flat"] = many.perFrame() / base
	}
	if base := one.perChange(); base > 0 {
		ratios["feed_follow_flat"] = many.perChange() / base
	}
	return ratios
}

// counts reports whether what a tier has spent on a step is enough to be compared.
func (l *ledger) counts(tier, step string) bool {
	b := l.steps[step]
	return b != nil && sumOf(b.spent[tier]) >= leastCounted
}

// perChange is the CPU time of one feed process, in µs, for each change that it follows. Each process follows
// all of them: that isn't shared out.
func (l *ledger) perChange() float64 {
	b := l.steps[stepHold]
	if b == nil || l.changes == 0 {
		return 0
	}
	return l.cost(tierFeed, stepHold) * float64(b.ops) / l.changes / float64(l.plan.feeds)
}

// perFrame is the CPU time of the feeds, in µs, for each delta that they sent, what following the stock takes
// included: that is every process's own.
func (l *ledger) perFrame() float64 {
	b := l.steps[stepCheckout]
	deltas := total(l.counted(countDeltas, stepCheckout))
	if b == nil || deltas == 0 {
		return 0
	}
	return l.cost(tierFeed, stepCheckout) * float64(b.ops) / deltas
}

// part is the share of a tier's work that its processes had.
type part struct {
	name   string
	each   []float64
	wanted []float64 // parts of the whole; nil for equal ones
	hashed bool      // chance has a hand in it
}

// parts are the shares that must be even.
func (l *ledger) parts() []part {
	return []part{
		{name: "front", each: l.counted(countRequests, stepSession, stepHold, stepCheckout, stepRead, stepRefusal)},
		{name: "feed", each: l.counted(countSnapshots, stepConnect)},
		{name: "settle", each: l.counted(countCharges, stepCheckout, stepRead), hashed: true},
		{name: "redis", each: l.holds, wanted: l.books, hashed: true},
	}
}

// shares are the parts of the whole that each had.
func shares(each []float64) []float64 {
	parts, sum := make([]float64, len(each)), total(each)
	for i, n := range each {
		if sum > 0 {
			parts[i] = n / sum
		}
	}
	return parts
}

// uneven are the shares that are not as the rules of their tiers have them, as violations of the run.
func (l *ledger) uneven() (found []onsale.Violation) {
	wrong := func(subject, format string, args ...any) {
		found = append(found, onsale.Violation{Subject: subject, Detail: fmt.Sprintf(format, args...)})
	}
	for _, p := range l.parts() {
		had, wanted := shares(p.each), shares(p.wanted)
		for i := range had {
			want, slack := 1/float64(len(had)), evenWithin
			if p.wanted != nil {
				want = wanted[i]
			}
			if p.hashed {
				slack += chances * math.Sqrt(want*(1-want)/math.Max(1, total(p.each)))
			}
			if math.Abs(had[i]-want) > slack {
				wrong(fmt.Sprintf("%s %d", p.name, i+1), "has done %.1f %% of its tier's work, and %.1f %% ± %.1f is its part", 100*had[i], 100*want, 100*slack)
			}
		}
	}
	if n := inUse(l.holds); n < 2 {
		wrong("the striped event", "uses %d of %d shards", n, len(l.holds))
	}
	if n := inUse(l.partitions); n < 2 {
		wrong("the purchases of several events", "are in %d of %d partitions", n, len(l.partitions))
	}
	return found
}

func inUse(each []float64) (n int) {
	for _, v := range each {
		if v > 0 {
			n++
		}
	}
	return n
}

// figures are a house's, each named after it.
func (l *ledger) figures() map[string]bench.Figure {
	figures := map[string]bench.Figure{}
	put := func(name string, value float64, unit string) {
		figures[l.plan.name+"_"+name] = bench.Figure{Value: math.Round(value*1000) / 1000, Unit: unit}
	}
	for _, c := range costs {
		put(c.tier+"_"+c.step+"_cpu", l.cost(c.tier, c.step), "µs")
	}
	for _, tier := range tiers {
		put(tier+"_idle", l.idle(tier), "cores")
	}
	put("feed_frame_cpu", l.perFrame(), "µs")
	put("feed_follow_cpu", l.perChange(), "µs")
	if l.changes > 0 {
		put("holds_in_a_change", total(l.holds)/l.changes, "holds")
	}
	for _, p := range l.parts() {
		for i, share := range shares(p.each) {
			put(fmt.Sprintf("%s_%d_share", p.name, i+1), share, "of the tier")
		}
	}
	for i, share := range shares(l.books) {
		put(fmt.Sprintf("redis_%d_stripes", i+1), share, "of the stripes")
	}
	for i, share := range shares(l.partitions) {
		put(fmt.Sprintf("partition_%d_share", i+1), share, "of the purchases")
	}
	put("feeds_exact", float64(l.exact), "feeds")
	put("shards_used", float64(inUse(l.holds)), "shards")
	if snapshots := total(l.counted(countSnapshots, stepConnect)); snapshots > 0 {
		put("snapshot", total(l.counted(countFeedBytes, stepConnect))/snapshots, "bytes")
	}
	if deltas := total(l.counted(countDeltas, stepCheckout)); deltas > 0 {
		put("delta", total(l.counted(countFeedBytes, stepCheckout))/deltas, "bytes")
	}
	if b := l.steps[stepHold]; b != nil && b.ops > 0 {
		put("redis_hold", total(b.counts[countRedisBytes])/float64(b.ops), "bytes")
	}
	put("front_resident", l.resident, "bytes")
	if b := l.steps[stepCheckout]; b != nil && b.ops > 0 {
		put("kafka_order", total(b.counts[countKafkaBytes])/float64(b.ops), "bytes")
	}
	return figures
}
