package faults

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"onsale"
	"onsale/bench"
	"onsale/internal/crashpoint"
)

// runReport is what the JSON says of a run, in the parameter "runs".
type runReport struct {
	Seed       uint64             `json:"seed"`
	Kafka      string             `json:"kafka"`
	Again      bool               `json:"again,omitempty"`      // the same seed was too slow before
	Superseded bool               `json:"superseded,omitempty"` // too slow, and made again: nothing of it is counted
	Void       string             `json:"void,omitempty"`
	Kept       string             `json:"kept,omitempty"` // the folder of the house, if it was kept to be looked into
	RateBefore float64            `json:"operations_per_second_before"`
	Operations float64            `json:"operations"`
	Accepted   float64            `json:"accepted"`
	Violations int                `json:"violations"`
	Unchecked  []onsale.Unchecked `json:"unchecked,omitempty"`
	Faults     []happened         `json:"faults"`
}

// summed are the figures of a storm that are added up.
var summed = []string{"held", "accepted", "sold", "declined", "rejected", "refunded", "feeds_checked",
	"refunds_asked", "refunds_made", "refunds_refused", "late_ticketed", "late_paid_back", "late_never"}

// tally adds the runs up. What is counted is of runs that prove something; what was found
// broken counts in every run.
type tally struct {
	cfg   Config
	runs  []runReport
	fired map[card]int // but the crashes
	hit   map[crashpoint.Point]int
	sum   *bench.Report
	wells []bool // of the timelines that are kept: whether all was well
}

func newTally(cfg Config) *tally {
	t := &tally{cfg: cfg, fired: map[card]int{}, hit: map[crashpoint.Point]int{}}
	t.sum = bench.NewReport("faults", map[string]any{
		"seed": cfg.Seed, "duration_seconds": cfg.Duration.Seconds(), "rate": cfg.Rate, "kafka": cfg.legs()[0].broker,
	})
	return t
}

func hitFigure(p crashpoint.Point) string {
	return "hit_" + strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(string(p)))
}

func (t *tally) add(o *outcome, folder string) {
	r := runReport{Seed: o.seed, Kafka: o.broker, Again: o.again, Superseded: o.superseded, Void: o.void(), RateBefore: o.rateBefore(), Operations: o.operations(),
		Accepted: o.storm.Figures["accepted"].Value, Violations: len(o.broken()), Unchecked: o.storm.Audit.Unchecked, Faults: o.done}
	if !o.clean() && !o.superseded {
		r.Kept = folder
	}
	t.runs = append(t.runs, r)
	t.keepTimelines(o)
	audit, found := &t.sum.Audit, o.storm.Audit
	audit.Oversold += found.Oversold
	audit.LostOrders += found.LostOrders
	audit.DoubleCharges += found.DoubleCharges
	for _, v := range o.broken() {
		v.History = append(slices.Clone(v.History), fmt.Sprintf("in the run with seed %d", o.seed))
		audit.Violations = append(audit.Violations, v)
	}
	if r.Void != "" {
		if !o.superseded && t.sum.Void == "" {
			t.sum.Void = fmt.Sprintf("the run with seed %d: %s", o.seed, r.Void)
		}
		return
	}
	for _, f := range o.done {
		if f.Kind == Crash {
			t.hit[f.Point]++
		} else {
			t.fired[card{f.Kind, f.Target}]++
		}
	}
	for _, name := range summed {
		figure := o.storm.Figures[name]
		figure.Value += t.sum.Figures[name].Value
		t.sum.Figures[name] = figure
	}
}

// report is what came of all runs.
func (t *tally) report() *bench.Report {
	count := func(name string, n int, unit string) {
		t.sum.Figures[name] = bench.Figure{Value: float64(n), Unit: unit}
	}
	faults := 0
	for c, n := range t.fired {
		count(fmt.Sprintf("fired_%s_%s", c.kind, c.target), n, "faults")
		faults += n
	}
	for _, p := range crashpoint.Points { // those that were not hit are in it too
		count(hitFigure(p), t.hit[p], "faults")
		faults += t.hit[p]
		if t.hit[p] < t.cfg.Hits && t.sum.Void == "" {
			t.sum.Void = fmt.Sprintf("the crash point %q was hit %d times: %d are needed", p, t.hit[p], t.cfg.Hits)
		}
	}
	count("faults", faults, "faults")
	count("runs", len(t.runs), "runs")
	t.sum.Params["runs"] = t.runs
	if len(t.runs) == 0 && t.sum.Void == "" {
		t.sum.Void = "no run was made"
	}
	t.sum.OK = t.sum.Err() == nil
	t.sum.Summary = t.summary(faults)
	return t.sum
}

// summary is what a person wants to know of many runs: what was done to the house, how
// often, and every run that proves less than it was made for.
func (t *tally) summary(faults int) string {
	var b strings.Builder
	of := map[string]int{}
	for _, r := range t.runs {
		of[r.Kafka]++
	}
	fmt.Fprintf(&b, "%d runs: %d on the embedded broker, %d on Apache Kafka\n", len(t.runs), of[embedded], of[apache])
	for _, r := range t.runs {
		switch {
		case r.Superseded:
			fmt.Fprintf(&b, "  seed %d was made again: %s\n", r.Seed, r.Void)
		case r.Void != "":
			fmt.Fprintf(&b, "  seed %d is VOID: %s\n", r.Seed, r.Void)
		}
		for _, u := range r.Unchecked {
			fmt.Fprintf(&b, "  seed %d, not checked: %s\n", r.Seed, u)
		}
	}
	b.WriteString("what follows is of the others\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, name := range summed {
		fmt.Fprintf(w, "%s\t%.0f\n", name, t.sum.Figures[name].Value)
	}
	fmt.Fprintf(w, "\nfaults\t%d\n", faults)
	for _, c := range slices.SortedFunc(slices.Values(deck), compareCards) {
		fmt.Fprintf(w, "%s %s\t%d\n", c.kind, c.target, t.fired[c])
	}
	fmt.Fprintf(w, "\ndied at\ttimes\n")
	for _, p := range crashpoint.Points {
		fmt.Fprintf(w, "%s\t%d\n", p, t.hit[p])
	}
	if err := w.Flush(); err != nil { // a Builder returns none
		panic(err)
	}
	return b.String()
}

func compareCards(a, b card) int {
	if a.kind != b.kind {
		return strings.Compare(string(a.kind), string(b.kind))
	}
	return strings.Compare(string(a.target), string(b.target))
}
