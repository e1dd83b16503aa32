package scaling

import (
	"fmt"
	"strings"
)

// operations are what bench tiers compares, and how that is told.
var operations = []struct{ name, what string }{
	{"front_session", "front: a guest signs in"},
	{"front_hold", "front: a hold"},
	{"front_order", "front: a check-out"},
	{"front_read", "front: an order is read"},
	{"front_refusal", "front: “sold out”"},
	{"redis_hold", "Redis, all shards: a hold"},
	{"redis_order", "Redis, all shards: an order"},
	{"feed_connect", "feed: a browser connects"},
	{"feed_follow", "feed, each process: a change is followed"},
	{"feed_frame", "feed: a delta to a browser"},
	{"settle_order", "settle: an order"},
	{"kafka_order", "Kafka: an order"},
	{"postgres_order", "Postgres: an order"},
}

// tierTables writes what bench tiers found: what each operation costs in each house, and who did how much.
func tierTables(b *strings.Builder, r Reports) {
	report := r[fromTiers]
	rows := [][]string{{"CPU time of an operation, all processes of the tier", "one of each", "several", "ratio"}}
	for _, op := range operations {
		one, many := report.Figures["one_"+op.name+"_cpu"], report.Figures["many_"+op.name+"_cpu"]
		ratio := "–"
		if v, ok := report.Ratios[op.name+"_flat"]; ok {
			ratio = fmt.Sprintf("%.2f", v)
			if v > 1+number(report.Params["flat_within"]) {
				ratio += ", not flat"
			}
		}
		rows = append(rows, []string{op.what, quantity(one.Value, "µs"), quantity(many.Value, "µs"), ratio})
	}
	grid(b, rows)
	fmt.Fprintf(b, "\nA call that changed something carried %s holds in the house of one, and %s in the other.\n\n",
		short(report.Figures["one_holds_in_a_change"].Value), short(report.Figures["many_holds_in_a_change"].Value))

	rows = [][]string{{"the house of several", "who did how much of it", "its part, by the rule"}}
	for _, tier := range []struct{ name, what, rule string }{
		{"front", "requests", "an equal part each: whoever spreads connections decides"},
		{"feed", "browsers connected", "the same"},
		{"settle", "charges", "equal parts: partitions are shared out, and charges go by order"},
		{"redis", "holds of the striped event", ""},
		{"partition", "purchases", "all of one event's in one partition"},
	} {
		parts, rule := percents(r, "many_"+tier.name+"_%d_share"), tier.rule
		if tier.name == "redis" {
			rule = "its stripes: " + percents(r, "many_redis_%d_stripes")
		}
		rows = append(rows, []string{tier.name + ": " + tier.what, parts, rule})
	}
	grid(b, rows)
	fmt.Fprintf(b, "\n%s of %s feeds of both houses ended at exactly the server's view; the audits, by every front, found %d broken promises.\n",
		grouped(report.Figures["one_feeds_exact"].Value+report.Figures["many_feeds_exact"].Value),
		grouped(2*number(report.Params["watchers"])*number(report.Params["rounds"])), len(report.Audit.Violations))
}

// percents are the figures of a numbered name, from 1 on.
func percents(r Reports, name string) string {
	var all []string
	for i := 1; ; i++ {
		f, ok := r[fromTiers].Figures[fmt.Sprintf(name, i)]
		if !ok {
			return strings.Join(all, " : ") + " %"
		}
		all = append(all, fmt.Sprintf("%.1f", 100*f.Value))
	}
}

// number is a parameter, as JSON has numbers; 0 if it is none.
func number(param any) float64 {
	v, _ := param.(float64)
	return v
}
