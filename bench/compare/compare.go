// Package compare says what got better or worse from one bench report to another, and
// whether that is more than noise.
//
// What was measured in rounds is compared by all of its samples: a difference counts if a
// Mann–Whitney U test (utest.go) finds that chance alone would make one like it in less than
// one case of twenty. Reports of the same scenario with the same parameters in one file are
// rounds, too. Where there are so few samples that the test can never find anything, the
// difference itself is all there is. What is better is in one table (direction.go).
//
// What can't be compared is not passed over: a figure that is gone says as little as one that is
// worse, and a run that breaks what it kept before is worse however fast it was (failed.go).
package compare

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"onsale/bench"
	"onsale/internal/contest"
)

// significant is below which p a difference counts as one.
const significant = 0.05

// Row is one figure or ratio, before and after.
type Row struct {
	Scenario string // and what tells it apart from others of its name
	Name     string
	Unit     string // "" of a ratio
	Better   Better

	Before, After     float64 // medians
	Rounds, OfRounds  int     // samples before, and after
	Percent           float64 // that it has risen by; an infinity from 0
	P                 float64 // of the U test
	Tested            bool    // there were samples enough for the test to find something
	Changed, Improved bool    // more than noise, as far as can be told; and for the better
}

// worseBy is by how many percent it is worse; 0 if it isn't, or nobody can tell.
func (r Row) worseBy() float64 {
	if !r.Changed || r.Improved || r.Better == Neither {
		return 0
	}
	return math.Abs(r.Percent)
}

// volatile parameters differ between rounds of the same: seeds, and where things were.
var volatile = []string{"seed", "event", "target", "feed", "runs", "houses"}

// group is all reports of one file that measured the same.
type group struct {
	scenario string
	params   string // those that aren't volatile, as JSON
	reports  []*bench.Report
	met      bool // the other file has it, too
}

// groups parts the reports of a file, in the order in which they come.
func groups(reports []*bench.Report) (all []*group) {
	for _, r := range reports {
		params := maps.Clone(r.Params)
		maps.DeleteFunc(params, func(name string, _ any) bool { return slices.Contains(volatile, name) })
		text, err := json.Marshal(params)
		if err != nil {
			text = nil // what was read from JSON can be written: there is nothing to tell it apart by
		}
		i := slices.IndexFunc(all, func(g *group) bool { return g.scenario == r.Scenario && g.params == string(text) })
		if i < 0 {
			i, all = len(all), append(all, &group{scenario: r.Scenario, params: string(text)})
		}
		all[i].reports = append(all[i].reports, r)
	}
	return all
}

// Comparison is how the reports of two files compare.
type Comparison struct {
	Rows   []Row
	Alone  []string  // scenarios of the second that the first has nothing for
	Gone   []Gone    // what the first has, and the second hasn't
	Failed []Failure // reports of the second that break what those of the first kept
}

// Gone is a figure or a ratio, or with no name a scenario, that isn't there any more.
type Gone struct {
	Scenario, Name, Unit string
	Better               Better // Neither, if it said nothing of how good things are
}

// missed reports whether the comparison says less without it. Parts of the CPU time come and go: what is below a
// microsecond isn't in a report.
func (g Gone) missed() bool {
	return g.Better != Neither && !(g.Unit == "µs" && strings.HasSuffix(g.Name, "_cpu"))
}

// Reports compares two files' reports: those of the same scenario and parameters, or of the
// same scenario if there is only one of it in each.
func Reports(before, after []*bench.Report) (c Comparison) {
	olds, news := groups(before), groups(after)
	for _, g := range news {
		same := slices.DeleteFunc(slices.Clone(olds), func(old *group) bool { return old.scenario != g.scenario })
		i := slices.IndexFunc(same, func(old *group) bool { return old.params == g.params })
		if i < 0 && len(same) == 1 && count(news, g.scenario) == 1 {
			i = 0
		}
		if i < 0 {
			c.Alone = append(c.Alone, g.scenario)
			c.Failed = append(c.Failed, g.failures(nil)...)
			continue
		}
		same[i].met = true
		c.Failed = append(c.Failed, g.failures(same[i])...)
		rows, gone := same[i].against(g)
		c.Rows, c.Gone = append(c.Rows, rows...), append(c.Gone, gone...)
	}
	for _, old := range olds {
		if !old.met {
			c.Gone = append(c.Gone, Gone{Scenario: old.scenario})
		}
	}
	return c
}

func count(all []*group, scenario string) (n int) {
	for _, g := range all {
		if g.scenario == scenario {
			n++
		}
	}
	return n
}

// against compares what both have, figures first, by name, and says what only the first has.
func (g *group) against(after *group) (rows []Row, gone []Gone) {
	units := g.units()
	maps.Copy(units, after.units())
	for _, name := range slices.Sorted(maps.Keys(units)) {
		x, y := g.samples(name), after.samples(name)
		switch {
		case len(x) == 0: // it is new
		case len(y) == 0:
			gone = append(gone, Gone{after.scenario, name, units[name], direction(name, units[name])})
		default:
			rows = append(rows, newRow(after.scenario, name, units[name], x, y))
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(min(len(b.Unit), 1), min(len(a.Unit), 1)) })
	return rows, gone
}

// units are those of all figures, and "" of each ratio.
func (g *group) units() map[string]string {
	units := map[string]string{}
	for _, r := range g.reports {
		for name := range r.Ratios {
			units[name] = ""
		}
	}
	for _, r := range g.reports {
		for name, figure := range r.Figures { // a ratio of the same name is another sight of it
			units[name] = figure.Unit
		}
	}
	return units
}

// samples are all of a figure, or else of a ratio: the rounds of each report, or its one value.
func (g *group) samples(name string) (values []float64) {
	for _, r := range g.reports {
		if rounds := r.Samples[name]; len(rounds) > 0 {
			values = append(values, rounds...)
		} else if figure, ok := r.Figures[name]; ok {
			values = append(values, figure.Value)
		} else if ratio, ok := r.Ratios[name]; ok {
			values = append(values, ratio)
		}
	}
	return values
}

func newRow(scenario, name, unit string, x, y []float64) Row {
	r := Row{Scenario: scenario, Name: name, Unit: unit, Better: direction(name, unit), Before: contest.Median(x), After: contest.Median(y),
		Rounds: len(x), OfRounds: len(y), P: MannWhitney(x, y), Tested: leastP(len(x), len(y)) < significant}
	switch {
	case r.Before != 0:
		r.Percent = 100 * (r.After - r.Before) / math.Abs(r.Before)
	case r.After != 0:
		r.Percent = math.Inf(int(math.Copysign(1, r.After)))
	}
	r.Changed = r.Percent != 0 && (!r.Tested || r.P < significant)
	r.Improved = r.Changed && (r.Percent > 0) == (r.Better == Higher) && r.Better != Neither
	return r
}
