// Package compare says what got better or worse from one bench report to another, and
// whether that is more than noise.
//
// What was measured in rounds is compared by all of its samples: a difference counts if a
// Mann–Whitney U test (utest.go) finds that chance alone would make one like it in less than
// one case of twenty. Reports of the same scenario with the same parameters in one file are
// rounds, too. Where there are so few samples that the test can never find anything, the
// difference itself is all there is. What is better is in one table (direction.go).
package compare

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"

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

// volatile parameters differ between rounds of the same.
var volatile = []string{"seed", "event", "target", "feed", "runs"}

// group is all reports of one file that measured the same.
type group struct {
	scenario string
	params   string // those that aren't volatile, as JSON
	reports  []*bench.Report
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

// Reports compares two files' reports: those of the same scenario and parameters, or of the
// same scenario if there is only one of it in each. alone are the scenarios of the second that
// the first has nothing for.
func Reports(before, after []*bench.Report) (rows []Row, alone []string) {
	olds := groups(before)
	for _, g := range groups(after) {
		same := slices.DeleteFunc(slices.Clone(olds), func(old *group) bool { return old.scenario != g.scenario })
		i := slices.IndexFunc(same, func(old *group) bool { return old.params == g.params })
		if i < 0 && len(same) == 1 && count(groups(after), g.scenario) == 1 {
			i = 0
		}
		if i < 0 {
			alone = append(alone, g.scenario)
			continue
		}
		rows = append(rows, same[i].against(g)...)
	}
	return rows, alone
}

func count(all []*group, scenario string) (n int) {
	for _, g := range all {
		if g.scenario == scenario {
			n++
		}
	}
	return n
}

// against compares what both have, figures first, by name.
func (g *group) against(after *group) (rows []Row) {
	last := after.reports[len(after.reports)-1]
	units := map[string]string{}
	for name, figure := range last.Figures {
		units[name] = figure.Unit
	}
	for name := range last.Ratios {
		if _, figure := units[name]; !figure {
			units[name] = ""
		}
	}
	for name, unit := range units {
		x, y := g.samples(name), after.samples(name)
		if len(x) == 0 || len(y) == 0 {
			continue
		}
		rows = append(rows, newRow(after.scenario, name, unit, x, y))
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if ratios := cmp.Compare(min(len(b.Unit), 1), min(len(a.Unit), 1)); ratios != 0 {
			return ratios
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return rows
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
