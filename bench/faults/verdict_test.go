package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/crashpoint"
)

// kept is the outcome of a run in which all went as planned and every promise was kept.
func kept() *outcome {
	plan := []Fault{{At: calm, Kind: Kill, Target: Redis}, {At: calm, Kind: Crash, Target: Front, Point: crashpoint.AfterPin, Nth: 1}}
	o := &outcome{seed: 7, plan: plan, storm: bench.NewReport("rush", map[string]any{})}
	for _, f := range plan {
		o.done = append(o.done, happened{Fault: f, FiredAt: f.At, Over: f.At + time.Second})
	}
	o.storm.Figures["held"] = bench.Figure{Value: 900, Unit: "holds"}
	o.storm.Figures["accepted"] = bench.Figure{Value: 800, Unit: "orders"}
	for _, name := range comeAfter {
		o.storm.Figures[name] = bench.Figure{Value: 9, Unit: "orders"}
	}
	o.before.Store(&bench.Progress{Elapsed: calm, Held: 300, Accepted: 200})
	return o
}

// judged is what comes of one outcome.
func judged(t *testing.T, o *outcome) *bench.Report {
	t.Helper()
	cfg, err := Config{Runs: 1, Binary: os.Args[0]}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	all := newTally(cfg)
	all.add(o, "somewhere")
	return all.report()
}

func TestARunInWhichAllWentAsPlannedIsGood(t *testing.T) {
	t.Parallel()
	o := kept()
	report := judged(t, o)
	if err := report.Err(); err != nil || !report.OK || !o.clean() {
		t.Fatalf("%v, %+v", err, report)
	}
	for name, want := range map[string]float64{"faults": 2, "runs": 1, "fired_kill_redis": 1, "hit_after_pin": 1, "hit_after_produce": 0, "accepted": 800} {
		if got, there := report.Figures[name]; !there || got.Value != want {
			t.Errorf("%s is %v, want %v", name, got.Value, want)
		}
	}
	path := filepath.Join(t.TempDir(), "faults.json")
	if err := report.Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), `"after pin"`) || !strings.Contains(string(text), `"seed": 7`) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestARunThatProvesNothingIsVoid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*outcome)
		says  string
	}{
		"too little was accepted before the first fault": {func(o *outcome) {
			o.before.Store(&bench.Progress{Elapsed: calm, Held: 250, Accepted: 149})
		}, "operations a second"},
		"no fault happened":             {func(o *outcome) { o.before.Store(nil); o.done = nil }, "operations a second"},
		"a fault is missing":            {func(o *outcome) { o.done = o.done[:1] }, "only 1 of 2"},
		"a crash point was not reached": {func(o *outcome) { o.done[1].Failed = "it was not reached" }, "after pin"},
		"the storm itself was void":     {func(o *outcome) { o.storm.Void = "nothing could be held" }, "nothing could be held"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := kept()
			test.spoil(o)
			report := judged(t, o)
			if err := report.Err(); !errors.Is(err, bench.ErrVoid) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "seed 7") {
				t.Errorf("it is %v", err)
			}
			if report.OK || o.clean() {
				t.Error("and good all the same")
			}
		})
	}
}

func TestABrokenPromiseIsToldWithItsHistoryEvenOfARunThatIsVoid(t *testing.T) {
	t.Parallel()
	o := kept()
	o.done = nil
	o.storm.Audit.LostOrders = 1
	o.storm.Audit.Violations = []onsale.Violation{{Invariant: onsale.InvariantOrders, Subject: "ord_x", Detail: "is claimed still", History: []string{"accepted → claimed"}}}
	report := judged(t, o)
	var broken *onsale.AuditError
	if err := report.Err(); !errors.As(err, &broken) {
		t.Fatal(err)
	}
	for _, want := range []string{"ord_x", "is claimed still", "accepted → claimed", "seed 7"} {
		if !strings.Contains(broken.Text, want) {
			t.Errorf("%q isn't in\n%s", want, broken.Text)
		}
	}
	if o.clean() || report.Audit.LostOrders != 1 {
		t.Errorf("%+v", report.Audit)
	}
}

func TestAProcessThatEndsByItselfIsNoGoodRun(t *testing.T) {
	t.Parallel()
	o := kept()
	o.ended = []string{"settle ended by itself (exit status 2): panic"}
	var broken *onsale.AuditError
	if err := judged(t, o).Err(); !errors.As(err, &broken) || !strings.Contains(broken.Text, "panic") {
		t.Fatal(err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"runs below 1":       {Runs: -1},
		"too short":          {Duration: time.Second},
		"too fast":           {Rate: 1e9},
		"a script not there": {Apache: true, KafkaScript: filepath.Join(t.TempDir(), "run")},
	} {
		var asked *bench.ConfigError
		if report, err := Run(t.Context(), cfg); report != nil || !errors.As(err, &asked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
