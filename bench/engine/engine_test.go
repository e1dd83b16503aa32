package engine

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"onsale/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheEngineIsMeasuredAndAudited(t *testing.T) {
	t.Parallel()
	report, err := Run(t.Context(), Config{Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"batched_vs_single", "batched_vs_single_seats", "full_vs_empty"} {
		if report.Ratios[name] <= 0 {
			t.Errorf("%s is %v", name, report.Ratios[name])
		}
	}
	if !report.OK || len(report.Audit.Violations) > 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestWrongSettingsOfTheEngineAreRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{Rounds: -1}, {Rounds: maxRounds + 1}, {Batch: -1}, {Batch: maxBatch + 1}} {
		if _, err := Run(t.Context(), cfg); !isConfigError(err) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func isConfigError(err error) bool {
	_, ok := errors.AsType[*bench.ConfigError](err)
	return ok
}
