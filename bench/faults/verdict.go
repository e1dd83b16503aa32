package faults

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/bench"
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

	// What the campaign says of the run.
	broker     string // that it was made on
	again      bool   // it is the repetition of one that was too slow
	superseded bool   // it was too slow, and is made again: it counts for nothing
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
	if o.slow() {
		return fmt.Sprintf("only %.0f operations a second were accepted before the first fault: %d are needed", o.rateBefore(), fewestOperations)
	}
	if text := unfired(o.plan, o.done); text != "" {
		return text
	}
	for _, name := range comeAfter {
		if o.storm.Figures["accepted"].Value >= manyOrders && o.storm.Figures[name].Value == 0 {
			return fmt.Sprintf("%s is 0: a storm without any proves nothing of them", name)
		}
	}
	return ""
}

// manyOrders is how many orders a run must have had for some of them to have come to
// whatever an order can.
const manyOrders = 500

// comeAfter are the figures of what few purchases come to; no run of many orders may lack it.
var comeAfter = []string{"refunds_made", "late_ticketed", "late_paid_back"}

// slow reports whether there was no storm when the first fault came: for want of power, or
// of anything to buy.
func (o *outcome) slow() bool { return o.storm.Void == "" && o.rateBefore() < fewestOperations }

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
	verdict, unchecked := o.storm.Kept()
	if text := o.void(); text != "" {
		verdict = "VOID: " + text
	}
	if n := len(o.broken()); n > 0 {
		verdict = fmt.Sprintf("BROKEN promises: %d", n)
	}
	figure := func(name string) float64 { return o.storm.Figures[name].Value }
	fmt.Fprintf(w, "run with seed %d: %d faults, %.0f operations (%.0f/s before the first fault), %.0f accepted, %.0f sold, %.0f refunds, %.0f paid late, in %.0fs: %s\n",
		o.seed, len(o.done), o.operations(), o.rateBefore(), figure("accepted"), figure("sold"), figure("refunds_made"),
		figure("late_ticketed")+figure("late_paid_back"), o.took.Seconds(), verdict)
	for _, line := range unchecked {
		fmt.Fprintf(w, "  not checked: %s\n", line)
	}
	for _, v := range o.broken() {
		fmt.Fprintf(w, "  %s\n", v)
	}
}
