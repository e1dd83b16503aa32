package main

import (
	"path/filepath"
	"testing"

	"onsale/bench"
)

// TestSeveralProcessesOfEachTierShareAStormAndKeepEveryPromise is the short form of bench tiers: what it
// counts must be right, and what it has timed is not looked at.
func TestSeveralProcessesOfEachTierShareAStormAndKeepEveryPromise(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tiers.json")
	code, stdout, stderr := run(t, "bench", "tiers", "--buyers", "240", "--watchers", "20", "--rounds", "1", "--json", path)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	report, err := bench.ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"one_shards_used": 1, "many_shards_used": 3, "one_feeds_exact": 20, "many_feeds_exact": 20, "many_feed_1_share": 0.5, "many_feed_2_share": 0.5,
	} {
		if got := report.Figures[name].Value; got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	if !report.OK || len(report.Audit.Violations) > 0 {
		t.Errorf("the report is %+v", report)
	}
}
