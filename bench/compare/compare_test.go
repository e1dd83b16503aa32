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
	c := Reports(list(100, 1000), list(50, 1000))
	rows := c.Rows
	if len(c.Alone) > 0 || len(c.Gone) > 0 || len(rows) != 4 {
		t.Fatalf("%d rows, %v alone, %v gone", len(rows), c.Alone, c.Gone)
	}
	if ramp, spike := rows[1], rows[3]; ramp.Rounds != 4 || !ramp.Changed || ramp.Improved || spike.Changed {
		t.Errorf("ramp %+v\nspike %+v", ramp, spike)
	}
	other := rounds(map[string]any{"over": 7}, 1)
	if c := Reports(list(1, 2), []*bench.Report{other}); len(c.Rows) != 0 || len(c.Alone) != 1 || len(c.Gone) != 2 {
		t.Errorf("compared with something else: %+v", c)
	}
	if c := Reports([]*bench.Report{rounds(nil, 2)}, []*bench.Report{other}); len(c.Rows) == 0 {
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

// broken is a report of rounds whose run broke a promise, or with 0 was void.
func broken(params map[string]any, promise onsale.Invariant) *bench.Report {
	r := rounds(params, 100)
	r.OK = false
	if promise == 0 {
		r.Void = "nobody came"
		return r
	}
	r.Audit.Violations = []onsale.Violation{{Invariant: promise, Subject: "stand A-1", Detail: "sold to two"}}
	return r
}

func TestAFailureHidesNoOtherOne(t *testing.T) {
	ramp, spike := map[string]any{"over": 60}, map[string]any{"over": 1}
	for name, c := range map[string]struct {
		before, after []*bench.Report
		worse         bool
	}{
		"the same run breaks the same promise":           {[]*bench.Report{broken(ramp, 7)}, []*bench.Report{broken(ramp, 7)}, false},
		"it is void as before":                           {[]*bench.Report{broken(ramp, 0)}, []*bench.Report{broken(ramp, 0)}, false},
		"it was void, and breaks a promise":              {[]*bench.Report{broken(ramp, 0)}, []*bench.Report{broken(ramp, 2)}, true},
		"it broke a promise, and proves nothing":         {[]*bench.Report{broken(ramp, 2)}, []*bench.Report{broken(ramp, 0)}, true},
		"it breaks another promise":                      {[]*bench.Report{broken(ramp, 7)}, []*bench.Report{broken(ramp, 2)}, true},
		"one was void, and another one breaks a promise": {[]*bench.Report{broken(ramp, 0), rounds(spike, 100)}, []*bench.Report{broken(ramp, 0), broken(spike, 2)}, true},
		"one was void, and another one is void":          {[]*bench.Report{broken(ramp, 0), rounds(spike, 100)}, []*bench.Report{broken(ramp, 0), broken(spike, 0)}, true},
		"one of other parameters breaks a promise":       {[]*bench.Report{broken(ramp, 2), rounds(spike, 100)}, []*bench.Report{broken(ramp, 2), rounds(spike, 100), broken(map[string]any{"over": 2}, 2)}, true},
	} {
		if out, err := comparing(t, c.before, c.after); errors.Is(err, ErrWorse) != c.worse {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestWhatIsNotMeasuredAnyMoreIsMissed(t *testing.T) {
	both := func() []*bench.Report {
		other := bench.NewReport("engine", nil)
		other.Ratios["full_vs_empty"], other.OK = 1.1, true
		return []*bench.Report{rounds(nil, 100), other}
	}
	if out, err := comparing(t, both(), both()); err != nil {
		t.Errorf("all is there: %v\n%s", err, out)
	}
	if out, err := comparing(t, both(), both()[:1]); !errors.Is(err, ErrWorse) || !strings.Contains(out, "engine is not in") {
		t.Errorf("without a scenario: %v\n%s", err, out)
	}
	for name, missed := range map[string]bool{"holds": true, "buyers": false, "redis_cpu": false} {
		before, after := both(), both()
		before[0].Figures["redis_cpu"] = bench.Figure{Value: 1.01, Unit: "µs"} // which is left out below 1
		if name != "redis_cpu" {
			after[0].Figures["redis_cpu"] = before[0].Figures["redis_cpu"]
		}
		delete(after[0].Figures, name)
		delete(after[0].Samples, name)
		out, err := comparing(t, before, after, "--all")
		if errors.Is(err, ErrWorse) != missed || !strings.Contains(out, "any more: "+name) {
			t.Errorf("without %s: %v\n%s", name, err, out)
		}
	}
}

// The processes of bench tiers are each time at other ports.
func TestWhereAHouseWasMakesNoOtherRun(t *testing.T) {
	at := func(port int) *bench.Report {
		return rounds(map[string]any{"buyers": 6000, "houses": map[string]any{"one": map[string]any{"at": port}}}, float64(port))
	}
	if all := groups([]*bench.Report{at(1), at(2)}); len(all) != 1 || len(all[0].reports) != 2 {
		t.Errorf("%d groups", len(all))
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
		{"cpu_of_setnx", "", Higher}, {"redis_hold_flat", "", Lower}, {"cpu_front", "processors", Lower}, {"cpu_bench", "processors", Neither},
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
