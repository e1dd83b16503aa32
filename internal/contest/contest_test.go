package contest

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestContestantsTakeTurnsAndTheWarmUpDoesNotCount(t *testing.T) {
	t.Parallel()
	var order []string
	work := func(name string, scale float64) Contestant {
		return Contestant{Name: name, Work: func(_ context.Context, round int) (float64, error) {
			order = append(order, name)
			return scale * float64(round*round), nil // a machine that gets faster and faster
		}}
	}
	told := 0
	figures, err := Run(t.Context(), 3, []Contestant{work("ours", 2), work("theirs", 4)}, func(int, string, float64) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"}; !slices.Equal(order, want) {
		t.Errorf("the order was %v, want %v", order, want)
	}
	if told != 6 {
		t.Errorf("told of %d figures, want 6", told)
	}
	if got := figures["ours"]; !slices.Equal(got, []float64{2, 8, 18}) {
		t.Errorf("ours are %v", got)
	}
	if m, r := figures.Median("ours"), figures.Ratio("ours", "theirs"); m != 8 || r != 0.5 {
		t.Errorf("median %v, ratio %v; want 8 and 0.5", m, r)
	}
}

func TestMediansAreOfTheMiddle(t *testing.T) {
	t.Parallel()
	f := Figures{"even": {4, 1, 3, 2}, "odd": {9, 1, 5}, "one": {7}, "zero": {0, 0, 0}}
	for name, want := range map[string]float64{"even": 2.5, "odd": 5, "one": 7, "none": 0} {
		if got := f.Median(name); got != want {
			t.Errorf("median of %s: %v, want %v", name, got, want)
		}
	}
	if got := f.Ratio("odd", "zero"); got != 0 {
		t.Errorf("over nothing: %v, want 0", got)
	}
	if !slices.Equal(f["even"], []float64{4, 1, 3, 2}) {
		t.Error("a median has sorted the figures themselves")
	}
}

func TestAContestEndsWithTheFirstFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	n := 0
	_, err := Run(t.Context(), 5, []Contestant{{"a", func(context.Context, int) (float64, error) { n++; return 0, broken }}}, nil)
	if !errors.Is(err, broken) || n != 1 {
		t.Errorf("%v after %d tries", err, n)
	}
}
