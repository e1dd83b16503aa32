// Package scaling is the capacity model: how many cores, bytes, sockets, shards and machines a sale of a
// given size takes. Everything in it is arithmetic over constants that the other scenarios of the bench have
// measured, and over assumptions that stand in assumed.go; nothing is fitted, and nothing has been run at the
// sizes that it speaks of.
//
// It is read in the order of its files: constants.go takes what one operation costs from the reports,
// demand.go says what a crowd asks of each tier at its peak, machines.go what that takes, tables.go writes it
// down and region.go puts it between two marks of bench/SCALING.md, whose prose says where it can't be trusted.
//
// The same reports make the same text, byte for byte.
package scaling

import (
	"errors"
	"fmt"
	"slices"

	"onsale/bench"
)

// The scenarios whose reports are needed.
const (
	fromEngine = "engine"
	fromHolds  = "holds"
	fromSettle = "settle"
	fromFeed   = "feed"
	fromTiers  = "tiers"
)

// makes is the command that makes a scenario's report.
var makes = map[string]string{
	fromEngine: "make bench-engine", fromHolds: "make bench-holds", fromSettle: "make bench-settle", fromFeed: "make bench-feed", fromTiers: "make bench-tiers",
}

// Reports are what was measured, by scenario.
type Reports map[string]*bench.Report

// Read reads reports. Those of other scenarios are passed over; of two of one scenario, of
// runs that broke a promise, and if one is missing, the error says what to do.
func Read(paths ...string) (Reports, error) {
	reports := Reports{}
	for _, path := range paths {
		r, err := bench.ReadReport(path)
		if err != nil {
			return nil, err
		}
		switch {
		case makes[r.Scenario] == "":
			continue
		case reports[r.Scenario] != nil:
			return nil, wrong("%s is a second report of bench %s: give one of each", path, r.Scenario)
		case !r.OK:
			return nil, wrong("%s is of a run that broke a promise, or proved nothing: run %s again", path, makes[r.Scenario])
		}
		reports[r.Scenario] = r
	}
	for _, scenario := range []string{fromEngine, fromHolds, fromSettle, fromFeed, fromTiers} {
		if reports[scenario] == nil {
			return nil, wrong("there is no report of bench %s: %s makes it", scenario, makes[scenario])
		}
	}
	return reports, nil
}

// Generate returns the text between the marks.
func Generate(reports Reports) (string, error) {
	c, err := constants(reports)
	if err != nil {
		return "", err
	}
	return tables(reports, c), nil
}

// number is a figure or a ratio of a report.
func (r Reports) number(scenario, name string) (float64, error) {
	report := r[scenario]
	if f, ok := report.Figures[name]; ok {
		return f.Value, nil
	}
	if v, ok := report.Ratios[name]; ok {
		return v, nil
	}
	if v, ok := report.Params[name].(float64); ok { // as JSON has them
		return v, nil
	}
	return 0, wrong("the report of bench %s has no %q: it is of another version; %s makes it anew", scenario, name, makes[scenario])
}

// numbers are several of one report.
func (r Reports) numbers(scenario string, names ...string) ([]float64, error) {
	var errs []error
	all := make([]float64, len(names))
	for i, name := range names {
		var err error
		all[i], err = r.number(scenario, name)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// scenarios are those that there are reports of, in order.
func (r Reports) scenarios() []string {
	all := make([]string, 0, len(r))
	for scenario := range r {
		all = append(all, scenario)
	}
	slices.Sort(all)
	return all
}

func wrong(format string, args ...any) error {
	return &bench.ConfigError{Text: fmt.Sprintf(format, args...)}
}
