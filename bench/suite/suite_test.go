package suite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/goleak"

	"onsale"
	"onsale/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// binary stands in for onsale: what a scenario is called says how it ends.
const binary = `#!/bin/sh
while [ "$1" != --json ]; do name=$2; shift; [ "$1" = "$name" ] && break; done
while [ "$1" != --json ]; do shift; done
echo "table of $name"
[ "$name" = gone ] && exit 1
echo "{\"scenario\": \"$name\", \"ok\": true}" >"$2"
case $name in
broken) exit 3 ;;
void) exit 4 ;;
wrong) exit 2 ;;
stuck) trap 'exit 1' INT; echo stuck >&2; while :; do sleep 0.05; done ;;
esac
`

// fake returns the configuration of a suite of scenarios that end as their names say.
func fake(t *testing.T, scenarios ...string) (Config, *bytes.Buffer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onsale")
	if err := os.WriteFile(path, []byte(binary), 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	out := new(bytes.Buffer)
	cfg := Config{Binary: path, Out: out, Status: io.Discard}
	for _, name := range scenarios {
		cfg.Scenarios = append(cfg.Scenarios, Scenario{name, []string{"--rounds", "1"}})
	}
	return cfg, out
}

func TestOneThatFailsFailsTheWholeAndStopsNoOther(t *testing.T) {
	cfg, out := fake(t, "broken", "gone", "void", "fine")
	var told []int
	cfg.Done = func(reports []*bench.Report) error { told = append(told, len(reports)); return nil }
	reports, err := Run(t.Context(), cfg)
	var broken *onsale.AuditError
	if !errors.As(err, &broken) || !errors.Is(err, bench.ErrVoid) || !strings.Contains(err.Error(), "bench gone: it failed") {
		t.Errorf("the error is %v", err)
	}
	var names []string
	for _, r := range reports {
		names = append(names, r.Scenario)
	}
	if want := []string{"broken", "gone", "void", "fine"}; !slices.Equal(names, want) || !slices.Equal(told, []int{1, 2, 3, 4}) {
		t.Errorf("reports of %v, told %v", names, told)
	}
	if !strings.Contains(reports[1].Void, "no report") || reports[1].OK {
		t.Errorf("one that left no report is %+v", reports[1])
	}
	if !strings.Contains(out.String(), "table of fine") {
		t.Errorf("printed %q", out)
	}
}

func TestASuiteInWhichAllIsWellIsWell(t *testing.T) {
	cfg, _ := fake(t, "fine", "good")
	if reports, err := Run(t.Context(), cfg); err != nil || len(reports) != 2 {
		t.Errorf("%d reports, %v", len(reports), err)
	}
	cfg, _ = fake(t, "wrong")
	var setting *bench.ConfigError
	if _, err := Run(t.Context(), cfg); !errors.As(err, &setting) {
		t.Errorf("asked wrongly: %v", err)
	}
}

// stopper ends a context when it is written to: the scenario has begun.
type stopper struct{ stop context.CancelFunc }

func (s stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("stuck\n")) && !bytes.Contains(p, []byte("──")) {
		s.stop()
	}
	return len(p), nil
}

func TestWhoInterruptsASuiteHasTheReportsSoFar(t *testing.T) {
	cfg, _ := fake(t, "fine", "stuck", "never")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.Status = stopper{cancel}
	reports, err := Run(ctx, cfg)
	if !errors.Is(err, context.Canceled) || len(reports) != 2 || reports[0].Scenario != "fine" {
		t.Errorf("%d reports, %v", len(reports), err)
	}
}

func TestShortFormsAreOfScenariosThatThereAre(t *testing.T) {
	root := &cli.Command{Name: "onsale", Commands: []*cli.Command{bench.Command(Command())}, Writer: io.Discard, ErrWriter: io.Discard,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}}
	var setting *bench.ConfigError
	if err := root.Run(t.Context(), []string{"onsale", "bench", "all", "--only", "engine,nothing"}); !errors.As(err, &setting) || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("%v", err)
	}
}
