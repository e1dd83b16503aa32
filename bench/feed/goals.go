package feed

import "fmt"

// grown is what a quantity that shall stay flat may be late over early: noise.
const grown = 1.02

// goals are the figures that the feed is held to, each a ratio of the report. They are made for
// 150,000 connections on two processors, alone on the machine: fewer have to bear all that a
// process costs anyway. A goal that is missed breaks no promise to a client, so it is said, and the run is good.
var goals = []struct {
	ratio string
	most  float64
	what  string
}{
	{"fanout_vs_floor", 1.3, "the time until all have an update, over the bare loop's"},
	{"stall_effect", 1.2, "p99 until they do while 1 % don't read at all, over without"},
	{"bytes_per_conn", 8 << 10, "resident memory of all feed processes a connection, when idle"},
	{"idle_cpu", 0.15, "of a processor for heartbeats alone"},
	{"herd_effect", 1.5, "p99 of a hold while all reconnect at once, over without"},
	{"churn_memory", grown, "memory, late over early, while clients come and go"},
	{"churn_files", grown, "open files, late over early, while clients come and go"},
}

// judge notes of each goal that was measured whether it is kept.
func (r *run) judge() {
	for _, g := range goals {
		value, measured := r.report.Ratios[g.ratio]
		if !measured {
			continue
		}
		verdict := "kept  "
		if value > g.most {
			verdict = "MISSED"
		}
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s %s is %.4g, of at most %.4g: %s", verdict, g.ratio, value, g.most, g.what))
	}
}
