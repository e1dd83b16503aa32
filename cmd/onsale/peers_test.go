package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onsale/bench"
)

// A stranger's system is stood in for by a peer that runs already: all that is known of it is its URL.
func TestPeersAndAStrangersSystemAreMeasuredAndAudited(t *testing.T) {
	t.Parallel()
	stranger := beginCommand(t, onsaleCommand(context.Background(), "bench", "peer", "watch"))
	t.Cleanup(func() {
		if err := stranger.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		<-stranger.ended
	})
	url, ok := "", false
	for line := range stranger.lines {
		if url, ok = strings.CutPrefix(line, "serving "); ok {
			break
		}
	}
	if !ok {
		t.Fatal("the stranger's system doesn't serve")
	}
	path := filepath.Join(t.TempDir(), "peers.json")
	code, stdout, stderr := run(t, "bench", "peers", "--rounds", "1", "--lasting", "300ms", "--connections", "24", "--peer", "rows,lua", "--target", url, "--json", path)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	report, err := bench.ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, seller := range []string{"onsale", "rows", "lua", "target"} {
		for _, name := range []string{"_holds", "_refusals", "_hold_p50", "_hold_p99", "_refusal_p99"} {
			if report.Figures[seller+name].Value <= 0 {
				t.Errorf("%s%s is %+v", seller, name, report.Figures[seller+name])
			}
		}
	}
	for _, ratio := range []string{"onsale_vs_noop", "onsale_vs_rows", "onsale_vs_lua_refusals", "onsale_vs_target", "cpu_of_rows"} {
		if report.Ratios[ratio] <= 0 {
			t.Errorf("%s is %v", ratio, report.Ratios[ratio])
		}
	}
	if !report.OK || len(report.Audit.Violations) > 0 || !strings.Contains(stdout, "every promise was kept") {
		t.Errorf("the report is %+v\n%s", report, stdout)
	}
	for _, s := range report.Params["sellers"].([]any) {
		seller := s.(map[string]any)
		if seller["name"] != "noop" && (seller["repeats_keys"] != true || seller["limits_buyers"] != true) {
			t.Errorf("%v", seller)
		}
	}
}
