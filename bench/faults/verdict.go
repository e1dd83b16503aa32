package faults

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/crashpoint"
)

// fewestOperations is how many operations a second must have been accepted before the
// first fault: holds granted and purchases answered with 202. With less there was no storm.
const fewestOperations = 100

// outcome is what came of one run.
type outcome struct {
	seed   uint64
	plan   []Fault
	done   []happened
	before atomic.Pointer[bench.Progress] // how the storm stood at the first fault
	ended  []string                       // processes that ended though nobody had ended them
	storm  *bench.Report
	took   time.Duration
}

// rateBefore is how many operations a second were accepted before the first fault.
func (o *outcome) rateBefore() float64 {
	p := o.before.Load()
	if p == nil || p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Held+p.Accepted) / p.Elapsed.Seconds()
}

// void says why the run proves nothing; "" if it proves something.
func (o *outcome) void() string {
	if o.storm.Void != "" {
		return o.storm.Void
	}
	if rate := o.rateBefore(); rate < fewestOperations {
		return fmt.Sprintf("only %.0f operations a second were accepted before the first fault: %d are needed", rate, fewestOperations)
	}
	return unfired(o.plan, o.done)
}

// broken are the promises that the run found broken. A process that ends by itself is
// none of the seven, and yet nothing that anybody was promised.
func (o *outcome) broken() []onsale.Violation {
	found := o.storm.Audit.Violations
	for _, text := range o.ended {
		found = append(found, onsale.Violation{Subject: "a process", Detail: text})
	}
	return found
}

// clean reports whether the house may be used again.
func (o *outcome) clean() bool { return len(o.broken()) == 0 && o.void() == "" }

func (o *outcome) operations() float64 {
	return o.storm.Figures["held"].Value + o.storm.Figures["accepted"].Value
}

// tell says on one line how a run ended.
func (o *outcome) tell(w io.Writer) {
	verdict := "every promise was kept"
	if text := o.void(); text != "" {
		verdict = "VOID: " + text
	}
	if n := len(o.broken()); n > 0 {
		verdict = fmt.Sprintf("BROKEN promises: %d", n)
	}
	fmt.Fprintf(w, "run with seed %d: %d faults, %.0f operations (%.0f/s before the first fault), %.0f accepted, %.0f sold, in %.0fs: %s\n",
		o.seed, len(o.done), o.operations(), o.rateBefore(), o.storm.Figures["accepted"].Value, o.storm.Figures["sold"].Value, o.took.Seconds(), verdict)
	for _, u := range o.storm.Audit.Unchecked {
		fmt.Fprintf(w, "  not checked: %s\n", u)
	}
	for _, v := range o.broken() {
		fmt.Fprintf(w, "  %s\n", v)
	}
}

// runReport is what the JSON says of a run, in the parameter "runs".
type runReport struct {
	Seed       uint64             `json:"seed"`
	Void       string             `json:"void,omitempty"`
	Kept       string             `json:"kept,omitempty"` // the folder of the house, if it was kept to be looked into
	RateBefore float64            `json:"operations_per_second_before"`
	Operations float64            `json:"operations"`
	Accepted   float64            `json:"accepted"`
	Violations int                `json:"violations"`
	Unchecked  []onsale.Unchecked `json:"unchecked,omitempty"`
	Faults     []happened         `json:"faults"`
}

// tally adds the runs up.
type tally struct {
	cfg   Config
	runs  []runReport
	fired map[string]int // by figure
	sum   *bench.Report
}

func newTally(cfg Config) *tally {
	t := &tally{cfg: cfg, fired: map[string]int{}}
	broker := "embedded"
	if cfg.KafkaScript != "" {
		broker = "apache"
	}
	t.sum = bench.NewReport("faults", map[string]any{
		"seed": cfg.Seed, "duration_seconds": cfg.Duration.Seconds(), "rate": cfg.Rate, "kafka": broker,
	})
	for _, p := range crashpoint.Points { // those that were not hit are in it too
		t.fired[hitFigure(p)] = 0
	}
	return t
}

func hitFigure(p crashpoint.Point) string {
	return "hit_" + strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(string(p)))
}

func (t *tally) add(o *outcome, folder string) {
	r := runReport{Seed: o.seed, Void: o.void(), RateBefore: o.rateBefore(), Operations: o.operations(),
		Accepted: o.storm.Figures["accepted"].Value, Violations: len(o.broken()), Unchecked: o.storm.Audit.Unchecked, Faults: o.done}
	if !o.clean() {
		r.Kept = folder
		fmt.Fprintf(t.cfg.Status, "  what the processes said is in %s\n", folder)
	}
	t.runs = append(t.runs, r)
	for _, f := range o.done {
		switch {
		case f.Failed != "":
		case f.Kind == Crash:
			t.fired[hitFigure(f.Point)]++
		default:
			t.fired[fmt.Sprintf("fired_%s_%s", f.Kind, f.Target)]++
		}
	}
	audit, found := &t.sum.Audit, o.storm.Audit
	audit.Oversold += found.Oversold
	audit.LostOrders += found.LostOrders
	audit.DoubleCharges += found.DoubleCharges
	for _, v := range o.broken() {
		v.History = append(v.History, fmt.Sprintf("in the run with seed %d", o.seed))
		audit.Violations = append(audit.Violations, v)
	}
	for _, name := range []string{"held", "accepted", "sold", "declined", "rejected", "feeds_checked"} {
		figure := o.storm.Figures[name]
		figure.Value += t.sum.Figures[name].Value
		t.sum.Figures[name] = figure
	}
	if r.Void != "" && t.sum.Void == "" {
		t.sum.Void = fmt.Sprintf("the run with seed %d: %s", o.seed, r.Void)
	}
}

// report is what came of all runs.
func (t *tally) report() *bench.Report {
	faults := 0
	for name, n := range t.fired {
		t.sum.Figures[name] = bench.Figure{Value: float64(n), Unit: "faults"}
		faults += n
	}
	t.sum.Figures["faults"] = bench.Figure{Value: float64(faults), Unit: "faults"}
	t.sum.Figures["runs"] = bench.Figure{Value: float64(len(t.runs)), Unit: "runs"}
	t.sum.Params["runs"] = t.runs
	if len(t.runs) == 0 && t.sum.Void == "" {
		t.sum.Void = "no run was made"
	}
	t.sum.OK = t.sum.Err() == nil
	return t.sum
}
