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
	few, enough := 12_100+trimAfter-1, 12_100+trimAfter
	for step, due := range map[int]bool{few: false, enough: true} {
		if trim := (trimmer{entered: step, trimmed: 12_100}); trim.due(step) != due {
			t.Errorf("after %d more, and none of late: due is %v", step-12_100, !due)
		}
	}
}
