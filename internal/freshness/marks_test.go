package freshness

import (
	"testing"
	"time"
)

func TestAFollowerIsAsOldAsTheNewestMomentThatItHasAllOf(t *testing.T) {
	t.Parallel()
	start := time.Unix(1e9, 0)
	m := NewMarks[int](3)
	if at, ok := m.Reached(func(int) bool { return true }); ok || !at.IsZero() {
		t.Errorf("%v, %t of no marks", at, ok)
	}
	for i, position := range []int{10, 10, 20, 30} { // the first one is forgotten
		m.Note(start.Add(time.Duration(i)*time.Second), position)
	}
	for has, want := range map[int]struct {
		second int
		ok     bool
	}{5: {1, false}, 10: {1, true}, 15: {1, true}, 20: {2, true}, 29: {2, true}, 30: {3, true}, 99: {3, true}} {
		at, ok := m.Reached(func(position int) bool { return position <= has })
		if ok != want.ok || !at.Equal(start.Add(time.Duration(want.second)*time.Second)) {
			t.Errorf("who has %d is as of %v, %t; want second %d, %t", has, at, ok, want.second, want.ok)
		}
	}
}
