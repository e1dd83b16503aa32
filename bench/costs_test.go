package bench

import (
	"maps"
	"testing"
	"time"
)

// A connection to Postgres that ends takes its backend with it. What that has done for the round remains the round's.
func TestWhatABackendHasUsedIsCountedAfterItsEnd(t *testing.T) {
	t.Parallel()
	const bench, demo, postmaster = 1, 2, 3
	before := []procStat{
		{pid: bench, parent: 0, name: "onsale", used: time.Second},
		{pid: demo, parent: bench, name: "onsale", used: 2 * time.Second},
		{pid: postmaster, parent: demo, name: "postgres", used: time.Second, reaped: time.Second},
		{pid: 4, parent: postmaster, name: "postgres", used: 5 * time.Second},
		{pid: 5, parent: 0, name: "postgres", used: time.Hour}, // somebody else's
	}
	after := []procStat{
		before[0], before[1],
		{pid: postmaster, parent: demo, name: "postgres", used: time.Second, reaped: 7 * time.Second}, // 4 has used one second more, and has ended
		before[4],
	}
	was, is := snapshotOf(before, demo, bench), snapshotOf(after, demo, bench)
	if spent := is["postgres_cpu"] - was["postgres_cpu"]; spent != time.Second || is["total_cpu"]-was["total_cpu"] != time.Second {
		t.Errorf("%v of Postgres, %v in all: the backend has used a second", spent, is["total_cpu"]-was["total_cpu"])
	}
	roles := map[int]string{6: "front"}
	front := procStat{pid: 6, parent: demo, name: "onsale", used: time.Second}
	had, has := usedBy(append(before, front), roles, demo), usedBy(append(after, front), roles, demo)
	if want := map[string]time.Duration{"postgres": 8 * time.Second, "front": time.Second}; !maps.Equal(has, want) || has["postgres"]-had["postgres"] != time.Second {
		t.Errorf("used %v and then %v, want %v", had, has, want)
	}
}
