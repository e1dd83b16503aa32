package scaling

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// tables writes down everything that is generated, as Markdown.
func tables(r Reports, c Constants) string {
	var b strings.Builder
	b.WriteString("### What was measured\n\n")
	measuredOn(&b, r)
	rows, bounds := [][]string{{"constant", "is", "what", "from the report of bench …"}}, ""
	for _, m := range table {
		is := quantity(*m.into(&c), m.unit)
		if m.atMost != nil && m.atMost(r) {
			is, bounds = "≤ "+is, "\nWhat is ≤ is a bound, and reckoned with as if it were all of that.\n"
		}
		rows = append(rows, []string{"`" + m.symbol + "`", is, m.what, m.how})
	}
	grid(&b, rows)
	b.WriteString(bounds)
	fmt.Fprintf(&b, "\nSo a call costs Redis `a` = %s µs whatever is in it, and `m` = %s µs for each hold.\n", short(c.PerCall()), short(c.InCall()))

	sales := Sales()
	demands, needs := make([]Demand, len(sales)), make([]Need, len(sales))
	for i, s := range sales {
		demands[i] = Of(s, c)
		needs[i] = Takes(s, demands[i], c)
	}
	b.WriteString("\n### What a crowd asks for\n\n")
	grid(&b, demandRows(sales, demands))
	b.WriteString("\n### What that takes\n\nCores are those that are busy at the peak; machines are planned at ")
	fmt.Fprintf(&b, "%.0f %% of %d cores, %.0f GB and %.0f Gbit/s each.\n\n", 100*usable, machineCores, machineMemory/1e9, machineWire/1e9)
	grid(&b, needRows(sales, needs))
	b.WriteString("\n### What one run of several processes shows\n\n")
	tierTables(&b, r)
	return b.String()
}

// measuredOn says on which machine, and with which settings.
func measuredOn(b *strings.Builder, r Reports) {
	for _, scenario := range r.scenarios() {
		report := r[scenario]
		fmt.Fprintf(b, "- %s: %d cores, %s/%s, %s", scenario, report.Machine.Cores, report.Machine.OS, report.Machine.Arch, report.Machine.Go)
		for _, name := range []string{"rounds", "connections", "orders", "conns", "procs", "buyers", "watchers", "stripes"} {
			if v, ok := report.Params[name].(float64); ok {
				fmt.Fprintf(b, ", %s %s", name, grouped(v))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

func demandRows(sales []Sale, demands []Demand) [][]string {
	rows := [][]string{{"at the peak"}}
	for _, s := range sales {
		rows[0] = append(rows[0], s.Name)
	}
	for _, row := range []struct {
		what string
		of   func(Sale, Demand) string
	}{
		{"tickets", func(s Sale, _ Demand) string { return short(s.Tickets) }},
		{"holds granted", func(_ Sale, d Demand) string { return short(d.Holds) }},
		{"orders", func(_ Sale, d Demand) string { return short(d.Orders) }},
		{"feeds opened, guests signed in, 1/s", func(_ Sale, d Demand) string { return short(d.Opening) }},
		{"asks at fronts, 1/s", func(_ Sale, d Demand) string { return short(d.Asks) }},
		{"… refused by the mirror, 1/s", func(_ Sale, d Demand) string { return short(d.Refusals) }},
		{"… that go to Redis, 1/s", func(_ Sale, d Demand) string { return short(d.Redis) }},
		{"all held after, s", func(_ Sale, d Demand) string { return short(d.SoldOut) }},
		{"check-outs, 1/s", func(_ Sale, d Demand) string { return short(d.Checkout) }},
		{"… settled, 1/s", func(_ Sale, d Demand) string { return short(d.Settled) }},
		{"last ticket after, s", func(_ Sale, d Demand) string { return short(d.LastOrd) }},
		{"frames to browsers, 1/s", func(_ Sale, d Demand) string { return short(d.Frames) }},
		{"heartbeats, 1/s", func(_ Sale, d Demand) string { return short(d.Beats) }},
	} {
		cells := []string{row.what}
		for i, s := range sales {
			cells = append(cells, row.of(s, demands[i]))
		}
		rows = append(rows, cells)
	}
	return rows
}

func needRows(sales []Sale, needs []Need) [][]string {
	rows := [][]string{{"tier"}}
	for _, s := range sales {
		rows[0] = append(rows[0], s.Name)
	}
	add := func(what string, of func(Need) string) {
		cells := []string{what}
		for _, n := range needs {
			cells = append(cells, of(n))
		}
		rows = append(rows, cells)
	}
	for _, tier := range []struct {
		name string
		of   func(Need) Tier
	}{
		{"fronts", func(n Need) Tier { return n.Front }}, {"feeds", func(n Need) Tier { return n.Feed }}, {"settlers", func(n Need) Tier { return n.Settle }},
	} {
		add("**"+tier.name+"**: processes", func(n Need) string { return short(tier.of(n).Process) })
		add("… cores", func(n Need) string { return short(tier.of(n).Cores) })
		if tier.name != "settlers" {
			add("… memory, GB", func(n Need) string { return short(tier.of(n).Memory / 1e9) })
			add("… sockets, all", func(n Need) string { return short(tier.of(n).Sockets) })
			add("… open files a process", func(n Need) string { return files(tier.of(n)) })
		}
		add("… network, Gbit/s", func(n Need) string { return short(tier.of(n).Wire / 1e9) })
		add("… machines, by", func(n Need) string { return short(tier.of(n).Machines) + " (" + tier.of(n).Bound + ")" })
	}
	add("**Redis**: shards", func(n Need) string { return short(n.Shards) })
	add("… stripes of the event, each in a slot", func(n Need) string { return short(n.Stripes) })
	add("… cores, small calls when there is time", func(n Need) string { return short(n.Redis.Cores) })
	add("… holds in a call", func(n Need) string { return short(n.Batch) })
	add("… changes that each process follows, 1/s", func(n Need) string { return short(n.Calls) })
	add("… following them, cores of each front and feed", following)
	add("… memory, GB", func(n Need) string { return short(n.Redis.Memory / 1e9) })
	add("… replicas of each shard, to be followed", func(n Need) string { return short(n.Replicas) })
	add("**Kafka**: partitions of a topic", func(n Need) string { return short(n.Partitions) })
	add("… network, Gbit/s", func(n Need) string { return short(n.Kafka.Wire / 1e9) })
	add("**Postgres**: cores", func(n Need) string { return short(n.Postgres.Cores) })
	add("… connections without a pooler", func(n Need) string { return short(n.Postgres.Sockets) })
	return rows
}

// following is what it would take to follow each change, with a mark if that is more than is spent on it.
func following(n Need) string {
	if n.Follow > mostFollowing {
		return short(n.Follow) + ", cut at " + short(mostFollowing)
	}
	return short(n.Follow)
}

// files is how many each process of a tier has open; with a mark if that is more than is assumed.
func files(t Tier) string {
	each := t.Sockets / t.Process
	text := short(each)
	if each > openFiles {
		text += " (too many: more processes)"
	}
	return text
}

// grid writes rows as a Markdown table, the first as its head.
func grid(b *strings.Builder, rows [][]string) {
	for i, cells := range rows {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", len(cells)) + "\n")
		}
	}
}

// quantity is a measured number and its unit, with what is large in larger units.
func quantity(v float64, unit string) string {
	switch {
	case unit == "bytes" && v >= 1e6:
		return short(v/1e6) + " MB"
	case unit == "bytes" && v >= 1e4:
		return short(v/1e3) + " kB"
	}
	return short(v) + " " + unit
}

// short is a number in three digits, and in more only if they stand before its point.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 999.5:
		digits := math.Floor(math.Log10(math.Abs(v))) - 2
		scale := math.Pow(10, digits)
		return grouped(math.Round(v/scale) * scale)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// grouped is a whole number in groups of three.
func grouped(v float64) string {
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
