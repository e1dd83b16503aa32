package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"onsale/bench"
)

// defaultAllow is how much worse, in percent, something may be.
const defaultAllow = 10

// ErrWorse says that something is worse than is allowed.
var ErrWorse = errors.New("worse than is allowed")

// Command returns the bench's subcommand "compare". What is worse comes back as ErrWorse, a file that
// isn't there, or has no reports, as a *bench.ConfigError.
func Command() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "say what got better or worse from one report to another, and whether that is more than noise",
		ArgsUsage: "BEFORE.json AFTER.json…",
		Description: "Each further file is compared with the first. Samples of rounds are held against each other by a Mann-Whitney U test;\n" +
			"with too few of them to tell (below 4 and 4) the difference itself counts. Files may be lists of reports: those of the\n" +
			"same scenario and parameters are further rounds. Exits with 1 if something is worse by more than --allow, or is not\n" +
			"measured any more, or if a promise was broken that was kept before, or a run proves nothing that did before.",
		Flags: []cli.Flag{
			&cli.Float64Flag{Name: "allow", Value: defaultAllow, Usage: "how much worse something may be, in `PERCENT`"},
			&cli.BoolFlag{Name: "all", Usage: "show what has not changed, too"},
		},
		Action: run,
	}
}

func run(_ context.Context, c *cli.Command) error {
	paths := c.Args().Slice()
	if len(paths) < 2 {
		return &bench.ConfigError{Text: "compare: give the report from before and one or more from after: onsale bench compare A.json B.json"}
	}
	allow := c.Float64("allow")
	if allow < 0 || math.IsNaN(allow) {
		return &bench.ConfigError{Text: fmt.Sprintf("allow: %v must be 0 or more percent", allow)}
	}
	files := make([][]*bench.Report, len(paths))
	for i, path := range paths {
		var err error
		if files[i], err = bench.ReadReports(path); err != nil {
			return &bench.ConfigError{Text: err.Error()}
		}
	}
	worse := 0
	for i, after := range files[1:] {
		n, err := tell(c.Root().Writer, paths[0], paths[i+1], files[0], after, allow, c.Bool("all"))
		if err != nil {
			return err
		}
		worse += n
	}
	if worse > 0 {
		return fmt.Errorf("%w: %d of what was compared: by more than %v %%, or gone, or broken", ErrWorse, worse, allow)
	}
	return nil
}

// tell writes how two files compare, and returns how much is worse than is allowed.
func tell(w io.Writer, before, after string, olds, news []*bench.Report, allow float64, all bool) (worse int, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s\n", before, after)
	c := Reports(olds, news)
	scenario, unchanged := "", 0
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range c.Rows {
		if r.worseBy() > allow {
			worse++
		} else if !r.Changed && !all || r.Better == Neither && !all {
			unchanged++
			continue
		}
		if r.Scenario != scenario {
			scenario = r.Scenario
			fmt.Fprintf(t, "\n%s\tbefore\tafter\t\t\t\n", scenario)
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\t%s\t%s\n", r.Name, number(r.Before), number(r.After), r.Unit, change(r), chance(r), word(r, allow))
	}
	if err := t.Flush(); err != nil {
		return 0, fmt.Errorf("writing the comparison: %w", err)
	}
	if unchanged > 0 {
		fmt.Fprintf(&b, "\n%d more have not changed, as far as can be told, or say nothing of how good it is (--all shows them)\n", unchanged)
	}
	for _, scenario := range c.Alone {
		fmt.Fprintf(&b, "%s is not in %s, or not with these parameters: not compared\n", scenario, before)
	}
	worse += tellGone(&b, c.Gone, after, all)
	if len(c.Rows) == 0 {
		fmt.Fprintln(&b, "nothing can be compared: WORSE")
		worse++
	}
	for _, f := range c.Failed {
		fmt.Fprintf(&b, "%s: WORSE: %v\n", f.Scenario, f.Err)
		worse++
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return 0, fmt.Errorf("writing the comparison: %w", err)
	}
	return worse, nil
}

// tellGone writes what isn't there any more, and returns how much of it is missed.
func tellGone(b *strings.Builder, gone []Gone, after string, all bool) (missed int) {
	names := map[string][]string{} // by what is said of them
	add := func(said, name string) { names[said] = append(names[said], name) }
	for _, g := range gone {
		switch {
		case g.Name == "":
			fmt.Fprintf(b, "%s is not in %s, or not with the same parameters: WORSE\n", g.Scenario, after)
			missed++
		case g.missed():
			add(g.Scenario+": WORSE: not measured any more: ", g.Name)
			missed++
		case all:
			add(g.Scenario+": not there any more: ", g.Name)
		}
	}
	for _, said := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(b, "%s%s\n", said, strings.Join(names[said], ", "))
	}
	return missed
}

func number(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return fmt.Sprintf("%.4g", v)
}

func change(r Row) string {
	switch {
	case math.IsInf(r.Percent, 0):
		return "from nothing"
	case !r.Changed:
		return "~"
	}
	return fmt.Sprintf("%+.1f %%", r.Percent)
}

// chance is how likely chance alone is, as benchstat says it.
func chance(r Row) string {
	if !r.Tested {
		return fmt.Sprintf("(n=%d+%d, too few for a test)", r.Rounds, r.OfRounds)
	}
	return fmt.Sprintf("(p=%.3f n=%d+%d)", r.P, r.Rounds, r.OfRounds)
}

func word(r Row, allow float64) string {
	switch {
	case !r.Changed || r.Better == Neither:
		return ""
	case r.Improved:
		return "better"
	case r.worseBy() > allow:
		return "WORSE"
	}
	return "worse, as is allowed"
}
