package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onsale/bench"
	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/internal/crashpoint"
	"onsale/persist"
)

func TestEveryStageOfAPurchaseHasItsCrashPointBeforeTheOffsetCommit(t *testing.T) {
	t.Parallel()
	for _, group := range []string{persist.GroupClaim, payment.WorkerGroup, persist.GroupFinalise, checkout.ConfirmerGroup} {
		if p := crashpoint.BeforeOffsetCommit(group); !slices.Contains(crashpoint.Points, p) {
			t.Errorf("%q is in no list", p)
		}
	}
}

func TestACrashPointThatIsNoneStopsTheStart(t *testing.T) {
	t.Setenv(crashpoint.Variable, "after lunch")
	if code, _, stderr := run(t, "version"); code != exitUsage || !strings.Contains(stderr, "after lunch") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

// TestAHouseThatIsBrokenInMidStormKeepsEveryPromise makes the shortest run that there is.
// Under the race detector, beside other tests, it may not be the storm that a run needs
// to prove something; whatever it is, nothing may be broken, and every fault must happen.
func TestAHouseThatIsBrokenInMidStormKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "faults.json")
	code, stdout, stderr := run(t, "bench", "faults", "--duration", "6s", "--rate", "60", "--seed", "2", "--json", path)
	if slow := code == exitVoid && strings.Contains(stderr, "operations a second"); code != 0 && !slow {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	report, err := bench.ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	runs, _ := report.Params["runs"].([]any)
	if len(runs) == 0 {
		t.Fatalf("%+v", report.Params)
	}
	last, _ := runs[len(runs)-1].(map[string]any)
	faults, _ := last["faults"].([]any)
	if len(faults) != 3 || last["accepted"] == 0.0 || len(report.Audit.Violations) > 0 {
		text, _ := json.MarshalIndent(report, "", " ")
		t.Errorf("%s", text)
	}
	for line := range strings.Lines(stderr) {
		if _, folder, kept := strings.Cut(line, "what the processes said is in "); kept {
			if err := os.RemoveAll(strings.TrimSpace(folder)); err != nil {
				t.Error(err)
			}
		}
	}
}
