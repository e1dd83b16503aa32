package main

import (
	"path/filepath"
	"testing"

	"onsale/bench"
)

func TestTwoThousandBrowsersEndAtTheServersExactView(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "feed.json")
	code, stdout, stderr := run(t, "bench", "feed", "--conns", "2000", "--rounds", "1", "--lasting", "2s", "--rate", "100", "--idle", "5s",
		"--churn", "4s", "--json", path)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	report, err := bench.ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fanout_vs_floor", "stall_effect", "bytes_per_conn", "idle_cpu", "herd_effect", "churn_memory", "churn_files"} {
		if report.Ratios[name] <= 0 {
			t.Errorf("%s is %v", name, report.Ratios[name])
		}
	}
	for _, name := range []string{"connect_rate", "staleness_p99", "delivery_p99", "hold_p99", "herd_back", "churned"} {
		if report.Figures[name].Value <= 0 {
			t.Errorf("%s is %+v", name, report.Figures[name])
		}
	}
	if exact := report.Figures["feeds_exact"].Value; exact != 2000 || !report.OK || len(report.Audit.Violations) > 0 {
		t.Errorf("%v feeds are exact, and the report is %+v", exact, report)
	}
}
