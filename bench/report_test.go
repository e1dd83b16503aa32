package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
)

func sampleReport(t *testing.T) *Report {
	t.Helper()
	report, err := Rush(t.Context(), quick(newFake(t, breakage{}), 5))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestReportHasTheFormThatEveryScenarioShares(t *testing.T) {
	body, err := json.Marshal(sampleReport(t))
	if err != nil {
		t.Fatal(err)
	}
	var form map[string]any
	if err := json.Unmarshal(body, &form); err != nil {
		t.Fatal(err)
	}
	want := []string{"audit", "figures", "machine", "ok", "params", "ratios", "scenario", "timelines"}
	if got := slices.Sorted(maps.Keys(form)); !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	audit := map[string]any{"oversold": 0.0, "lost_orders": 0.0, "double_charges": 0.0, "violations": []any{}}
	if !reflect.DeepEqual(form["audit"], audit) {
		t.Errorf("audit %v, want %v", form["audit"], audit)
	}
	for name, figure := range form["figures"].(map[string]any) {
		f := figure.(map[string]any)
		_, isNumber := f["value"].(float64)
		unit, isText := f["unit"].(string)
		if len(f) != 2 || !isNumber || !isText || unit == "" {
			t.Errorf("figure %s is %v", name, figure)
		}
	}
	for _, name := range []string{"hold_p50", "hold_p95", "hold_p99", "checkout_p99", "settle_p99", "session_p99", "late_p99", "requests", "request_rate"} {
		if _, ok := form["figures"].(map[string]any)[name]; !ok {
			t.Errorf("no figure %s", name)
		}
	}
	machine := form["machine"].(map[string]any)
	for _, name := range []string{"cores", "memory_bytes", "os", "go"} {
		if machine[name] == nil {
			t.Errorf("the machine has no %s", name)
		}
	}
}

func TestWrittenReportIsReadBackAndReplacesTheOldOneWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "rush.json")
	r := &Report{Scenario: "rush", Params: map[string]any{"users": 5.0}, Machine: thisMachine(),
		Figures: map[string]Figure{"held": {3, "holds"}}, Ratios: map[string]float64{"settled": 1},
		Audit: Verdict{Violations: []onsale.Violation{{Invariant: 4, Subject: "ord_1", Detail: "lost"}}}}
	for range 2 {
		if err := r.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	back, err := ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, r) {
		t.Errorf("wrote %+v\nread  %+v", r, back)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("the folder has %v, %v", files, err)
	}
	if err := r.Write(filepath.Join(path, "below-a-file.json")); err == nil {
		t.Error("a report that can't be written was written")
	}
}

func TestTableNamesWhatWasBroken(t *testing.T) {
	r := sampleReport(t)
	var kept, broken bytes.Buffer
	if err := r.Table(&kept); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"p50", "p95", "p99", "requests", "held", "sold", "refused", "oversold 0", "lost 0", "every promise was kept"} {
		if !strings.Contains(kept.String(), word) {
			t.Errorf("no %q in\n%s", word, &kept)
		}
	}
	r.OK, r.Audit.Violations = false, []onsale.Violation{{Invariant: onsale.InvariantClaims, Subject: "stand A-1", Detail: "sold to two"}}
	if err := r.Table(&broken); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(broken.String(), "stand A-1 sold to two") || strings.Contains(broken.String(), "was kept") {
		t.Errorf("the violation is missing in\n%s", &broken)
	}
}

func TestNobodySaysOfWhatWasNotCheckedThatItWasKept(t *testing.T) {
	t.Parallel()
	for name, leaveOut := range map[string]func(*Report){
		"holds that were let go": func(r *Report) { r.Figures["expiry_unchecked"] = Figure{3, unitHolds} },
		"refusals as sold out":   func(r *Report) { r.Figures["undersold_unchecked"] = Figure{3, unitTimes} },
		"nothing was captured": func(r *Report) {
			r.Audit.Unchecked = []onsale.Unchecked{{Invariant: 3, Reason: "nothing was captured"}}
		},
	} {
		for _, scenario := range []string{"rush", "feed"} {
			r := NewReport(scenario, map[string]any{})
			r.OK = true
			leaveOut(r)
			path := filepath.Join(t.TempDir(), "page.html")
			var table bytes.Buffer
			if err := errors.Join(r.Table(&table), WritePage(path, []*Report{r})); err != nil {
				t.Fatal(err)
			}
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for where, text := range map[string]string{"table": table.String(), "page": string(body)} {
				text = strings.ToLower(text)
				if !strings.Contains(text, name) || !strings.Contains(text, "every promise that was checked was kept") || strings.Contains(text, "every promise was kept") {
					t.Errorf("%s: the %s of a %s says\n%.2000s", name, where, scenario, text)
				}
			}
		}
	}
}

// Which flags there are is for the command to say, with its own error; its tests see to
// what the errors exit with.
func TestAWrongSettingIsOneLine(t *testing.T) {
	for name, args := range map[string][]string{
		"no token":            {},
		"no such profile":     {"--admin-token", "t", "--profile", "flood"},
		"no such file":        {"--admin-token", "t", "--profile", "gone.csv"},
		"no such way":         {"--admin-token", "t", "--mix", "standing=5"},
		"more bots than all":  {"--admin-token", "t", "--bots", "101"},
		"no buyers":           {"--admin-token", "t", "--users", "0"},
		"too many buyers":     {"--admin-token", "t", "--users", "1000000"},
		"negative time":       {"--admin-token", "t", "--over", "-1s"},
		"not a number":        {"--admin-token", "t", "--users", "many"},
		"unknown flag":        {"--admin-token", "t", "--usres", "5"},
		"stray word":          {"--admin-token", "t", "please"},
		"bad event":           {"--admin-token", "t", "--event", "No Such"},
		"target has a path":   {"--admin-token", "t", "--target", "http://127.0.0.1/v1"},
		"target is no URL":    {"--admin-token", "t", "--target", "localhost:8080"},
		"someone else's":      {"--admin-token", "t", "--target", "http://192.0.2.1"},
		"someone else's feed": {"--admin-token", "t", "--feed", "https://example.com"},
		"nobody there":        {"--admin-token", "t", "--target", "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ONSALE_ADMIN_TOKEN", "")
			root := &cli.Command{Name: "onsale", Commands: []*cli.Command{Command()}, Writer: io.Discard, ErrWriter: io.Discard,
				ExitErrHandler: func(context.Context, *cli.Command, error) {}}
			err := root.Run(t.Context(), append([]string{"onsale", "bench", "rush"}, args...))
			var setting *ConfigError
			ours := name != "not a number" && name != "unknown flag"
			if err == nil || strings.Contains(err.Error(), "\n") || ours != errors.As(err, &setting) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCrowdThatNeedsMoreOpenFilesThanThereAreIsRefused(t *testing.T) {
	if err := checkFiles(3_000, 3_000+spareFiles-1); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("%v", err)
	}
	if err := checkFiles(3_000, 3_000+spareFiles); err != nil {
		t.Error(err)
	}
}

func TestRemoteTargetIsStormedOnlyByItsOwner(t *testing.T) {
	c := RushConfig{AdminToken: "t", Users: 1, Target: "https://tickets.example.com"}.WithDefaults()
	if c.validate() == nil {
		t.Error("someone else's server was accepted")
	}
	c.Remote = true
	if err := c.validate(); err != nil {
		t.Errorf("one's own server was refused: %v", err)
	}
}

func TestCommandWritesTheTableAndTheReport(t *testing.T) {
	f := newFake(t, breakage{audit: []onsale.Violation{{Invariant: onsale.InvariantCharges, Subject: "ord_x", Detail: "charged twice"}}})
	path := filepath.Join(t.TempDir(), "out.json")
	var out, progress bytes.Buffer
	root := &cli.Command{Name: "onsale", Commands: []*cli.Command{Command()}, Writer: &out, ErrWriter: &progress,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}}
	t.Setenv("ONSALE_ADMIN_TOKEN", operatorToken)
	err := root.Run(t.Context(), []string{"onsale", "bench", "rush", "--users", "5", "--over", "50ms", "--most-late", "1m", "--target", f.URL, "--json", path})
	var broken *onsale.AuditError
	if !errors.As(err, &broken) {
		t.Errorf("%v is no AuditError", err)
	}
	if report, err := ReadReport(path); err != nil || report.OK || len(report.Audit.Violations) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if !strings.Contains(out.String(), "charged twice") || !strings.Contains(progress.String(), string(PhaseStorm)) {
		t.Errorf("wrote\n%s\nand\n%s", &out, &progress)
	}
}

func TestProgressIsALineAPhaseAndOneEveryTwoSecondsWhereNothingCanBeOverwritten(t *testing.T) {
	var out bytes.Buffer
	write := NewProgressWriter(&out)
	for i := range 26 { // five a second
		write(Progress{Phase: PhaseStorm, Elapsed: time.Duration(i) * 200 * time.Millisecond})
	}
	write(Progress{Phase: PhaseSettling, Elapsed: 5200 * time.Millisecond})
	if lines := strings.Count(out.String(), "\n"); lines != 4 || strings.Contains(out.String(), "\r") {
		t.Errorf("%d lines:\n%q", lines, &out)
	}
}
