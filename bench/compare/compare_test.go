package compare

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/bench"
	"onsale/internal/contest"
)

// rounds is a report of holds with the samples of its rounds.
func rounds(params map[string]any, rates ...float64) *bench.Report {
	r := bench.NewReport("holds", params)
	r.Figures["holds"] = bench.Figure{Value: contest.Median(rates), Unit: "1/s"}
	r.Figures["buyers"] = bench.Figure{Value: rates[0], Unit: "buyers"} // says nothing
	r.Sample("holds", rates)
	r.OK = true
	return r
}

// comparing runs the command on two files, and returns what it printed.
func comparing(t *testing.T, before, after []*bench.Report, flags ...string) (string, error) {
	t.Helper()
	a, b := filepath.Join(t.TempDir(), "a.json"), filepath.Join(t.TempDir(), "b.json")
	for path, reports := range map[string][]*bench.Report{a: before, b: after} {
		if err := bench.WriteReports(path, reports); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	root := &cli.Command{Name: "onsale", Commands: []*cli.Command{bench.Command(Command())}, Writer: &out, ErrWriter: io.Discard,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}}
	err := root.Run(t.Context(), slices.Concat([]string{"onsale", "bench", "compare"}, flags, []string{a, b}))
	return out.String(), err
}

func TestARegressionBeyondWhatIsAllowedFails(t *testing.T) {
	fast := []*bench.Report{rounds(nil, 100, 101, 102, 103, 104)}
	slow := []*bench.Report{rounds(nil, 80, 81, 82, 83, 84)}
	out, err := comparing(t, fast, slow)
	if !errors.Is(err, ErrWorse) || !strings.Contains(out, "p=0.008 n=5+5") || !strings.Contains(out, "WORSE") || !strings.Contains(out, "-19.6 %") {
		t.Errorf("%v:\n%s", err, out)
	}
	if out, err := comparing(t, fast, slow, "--allow", "25"); err != nil || !strings.Contains(out, "worse, as is allowed") {
		t.Errorf("%v:\n%s", err, out)
	}
	if out, err := comparing(t, slow, fast); err != nil || !strings.Contains(out, "better") || strings.Contains(out, "buyers") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestNoiseIsNoRegression(t *testing.T) {
	out, err := comparing(t, []*bench.Report{rounds(nil, 100, 60, 140, 90, 120)}, []*bench.Report{rounds(nil, 85, 130, 59, 95, 80)}, "--all")
	if err != nil || !strings.Contains(out, "~") || !strings.Contains(out, "n=5+5") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestWithTooFewRoundsTheDifferenceItselfCounts(t *testing.T) {
	out, err := comparing(t, []*bench.Report{rounds(nil, 100)}, []*bench.Report{rounds(nil, 80)})
	if !errors.Is(err, ErrWorse) || !strings.Contains(out, "n=1+1, too few") {
		t.Errorf("%v:\n%s", err, out)
	}
	if _, err := comparing(t, []*bench.Report{rounds(nil, 100)}, []*bench.Report{rounds(nil, 95)}); err != nil {
		t.Error(err)
	}
}

// In a list, reports with the same parameters are rounds, but for those that change anyway;
// others are kept apart.
func TestReportsOfTheSameAreRoundsAndOthersAreKeptApart(t *testing.T) {
	list := func(ramp, spike float64) (all []*bench.Report) {
		for n := range 4 {
			all = append(all, rounds(map[string]any{"over": 60, "seed": n}, ramp+float64(n)), rounds(map[string]any{"over": 1, "seed": n}, spike+float64(n)))
		}
		return all
	}
	rows, alone := Reports(list(100, 1000), list(50, 1000))
	if len(alone) > 0 || len(rows) != 4 {
		t.Fatalf("%d rows, %v alone", len(rows), alone)
	}
	if ramp, spike := rows[1], rows[3]; ramp.Rounds != 4 || !ramp.Changed || ramp.Improved || spike.Changed {
		t.Errorf("ramp %+v\nspike %+v", ramp, spike)
	}
	other := rounds(map[string]any{"over": 7}, 1)
	if rows, alone := Reports(list(1, 2), []*bench.Report{other}); len(rows) != 0 || len(alone) != 1 {
		t.Errorf("compared with something else: %d rows, %v", len(rows), alone)
	}
	if rows, _ := Reports([]*bench.Report{rounds(nil, 2)}, []*bench.Report{other}); len(rows) == 0 {
		t.Error("the only ones of a scenario are not compared")
	}
}

func TestABrokenPromiseIsWorseHoweverFastItWas(t *testing.T) {
	before, after := rounds(nil, 100), rounds(nil, 200)
	after.Audit.Violations = []onsale.Violation{{Invariant: onsale.InvariantClaims, Subject: "stand A-1", Detail: "sold to two"}}
	if out, err := comparing(t, []*bench.Report{before}, []*bench.Report{after}); !errors.Is(err, ErrWorse) {
		t.Errorf("%v:\n%s", err, out)
	}
	void := rounds(nil, 100)
	void.Void = "nobody came"
	if _, err := comparing(t, []*bench.Report{before}, []*bench.Report{void}); !errors.Is(err, ErrWorse) {
		t.Error("a run that proves nothing is as good as one that does")
	}
}

func TestEachFigureHasOneDirection(t *testing.T) {
	for _, c := range []struct {
		name, unit string
		want       Better
	}{
		{"holds", "1/s", Higher}, {"general_batched", "1/s of one core", Higher}, {"hold_p99", "ms", Lower}, {"holds_cpu", "µs", Lower},
		{"held", "holds", Neither}, {"request_rate", "1/s", Neither}, {"http_vs_noop", "", Higher}, {"full_vs_empty", "", Lower},
		{"onsale_vs_setnx", "", Higher}, {"orders_cpu", "µs an order", Lower}, {"unheard_of", "", Neither},
	} {
		if got := direction(c.name, c.unit); got != c.want {
			t.Errorf("%s in %q: %v, want %v", c.name, c.unit, got, c.want)
		}
	}
}

func TestWhatIsNoReportIsSaidSo(t *testing.T) {
	var setting *bench.ConfigError
	root := func() *cli.Command {
		return &cli.Command{Name: "onsale", Commands: []*cli.Command{bench.Command(Command())}, Writer: io.Discard,
			ExitErrHandler: func(context.Context, *cli.Command, error) {}}
	}
	for _, args := range [][]string{{"one.json"}, {"missing-a.json", "missing-b.json"}, {"--allow", "-1", "a", "b"}} {
		if err := root().Run(t.Context(), append([]string{"onsale", "bench", "compare"}, args...)); !errors.As(err, &setting) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
