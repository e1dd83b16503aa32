package realtime

import "testing"

func TestMemoryIsGivenBackOnceAfterAHerd(t *testing.T) {
	t.Parallel()
	var trim trimmer
	for step, entered := range []int{0, 4000, 9000, 12_000, 12_100} { // it comes, and some are late
		if trim.due(entered) != (step == 4) {
			t.Errorf("step %d, with %d opened: due is %v", step, entered, step != 4)
		}
	}
	for range 100 {
		if trim.due(12_100) {
			t.Fatal("memory is given back again, though nobody came")
		}
	}
	if trim.due(12_100 + trimAfter - 1); trim.due(12_100 + trimAfter - 1) {
		t.Error("memory is given back for few")
	}
	if !trim.due(12_100+trimAfter) && !trim.due(12_100+trimAfter) {
		t.Error("memory is not given back after the next herd")
	}
}
