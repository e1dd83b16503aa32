package feed

import (
	"maps"
	"slices"
	"testing"

	"onsale/bench"
)

func TestWhatGrowsIsSaidSo(t *testing.T) {
	t.Parallel()
	r := &run{report: bench.NewReport("feed", nil)}
	maps.Copy(r.report.Ratios, map[string]float64{"churn_memory": 1.2, "churn_files": 1.001, "idle_cpu": 0.15})
	r.judge()
	want := []string{
		"kept   idle_cpu is 0.15, of at most 0.15: of a processor for heartbeats alone",
		"MISSED churn_memory is 1.2, of at most 1.02: memory, late over early, while clients come and go",
		"kept   churn_files is 1.001, of at most 1.02: open files, late over early, while clients come and go",
	}
	if !slices.Equal(r.report.Notes, want) {
		t.Errorf("%q", r.report.Notes)
	}
}
