package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A clock that is seconds ahead of the server's must not accuse it, and one that is behind not flatter it.
func TestNothingIsTimedOrJudgedByAnotherMachinesClock(t *testing.T) {
	t.Parallel()
	cfg := quick(newFake(t, breakage{neverExpires: true}), 60) // as it looks before the server's deadline
	cfg.Create, cfg.ExpiryWait, cfg.Remote = house(600, time.Second), 5*time.Second, true
	report, err := Rush(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name := range report.Figures {
		if strings.HasPrefix(name, "staleness_") || strings.HasPrefix(name, "expiry_lag_") {
			t.Errorf("%s is %v", name, report.Figures[name])
		}
	}
	var table bytes.Buffer
	if err := report.Table(&table); err != nil {
		t.Fatal(err)
	}
	if report.Figures["expiry_unchecked"].Value == 0 || !strings.Contains(table.String(), "not checked: ") || strings.Contains(table.String(), "feed behind") {
		t.Errorf("%v holds unchecked in\n%s", report.Figures["expiry_unchecked"].Value, &table)
	}
}
