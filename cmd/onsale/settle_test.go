package main

import (
	"path/filepath"
	"testing"

	"onsale/bench"
)

func TestSettlementIsMeasuredAndAudited(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "settle.json")
	code, stdout, stderr := run(t, "bench", "settle", "--rounds", "1", "--orders", "1000", "--backlog", "2000", "--json", path)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	report, err := bench.ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"batched_vs_single", "checkout_vs_hold", "backlog_memory"} {
		if report.Ratios[name] <= 0 {
			t.Errorf("%s is %v", name, report.Ratios[name])
		}
	}
	for _, name := range []string{"orders_batched", "settled_p99", "heap_large_backlog"} {
		if report.Figures[name].Value <= 0 {
			t.Errorf("%s is %+v", name, report.Figures[name])
		}
	}
	if !report.OK || len(report.Audit.Violations) > 0 {
		t.Errorf("the report is %+v", report)
	}
}
