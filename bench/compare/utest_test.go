package compare

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func rising(from, to int) (values []float64) {
	for v := from; v <= to; v++ {
		values = append(values, float64(v))
	}
	return values
}

// The values are those of scipy.stats.mannwhitneyu (the first is its manual's example), and what
// benchstat prints for sets that don't overlap: 2 over the ways to choose.
func TestProbabilitiesAreThePublishedOnes(t *testing.T) {
	for name, c := range map[string]struct {
		x, y []float64
		want float64
	}{
		"scipy's manual":          {[]float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}, 0.1111111111111111},
		"three and three apart":   {rising(1, 3), rising(4, 6), 2.0 / 20},
		"four and four apart":     {rising(1, 4), rising(5, 8), 0.02857142857142857},
		"benchstat's p=0.008":     {rising(1, 5), rising(6, 10), 2.0 / 252},
		"benchstat's p=0.002":     {rising(1, 6), rising(7, 12), 2.0 / 924},
		"ten and ten apart":       {rising(1, 10), rising(11, 20), 2.0 / 184756},
		"one of each":             {[]float64{1}, []float64{2}, 1},
		"all equal":               {[]float64{5, 5, 5}, []float64{5, 5, 5}, 1},
		"none":                    {nil, []float64{1}, 1},
		"one in the wrong place":  {[]float64{1, 2, 3, 5}, []float64{4, 6, 7, 8}, 4.0 / 70},
		"a tie across the two":    {[]float64{1, 2, 3}, []float64{3, 4, 5}, 2.0 * 2 / 20},
		"many, and all are equal": {make([]float64, 40), make([]float64, 40), 1},
	} {
		if got := MannWhitney(c.x, c.y); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: p is %v, want %v", name, got, c.want)
		}
	}
}

// The approximation, which takes over where there are many, is near already where there are few.
func TestTheApproximationMeetsTheExactValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, shift int) (values []float64) {
			for _, v := range rapid.SliceOfN(rapid.IntRange(0, 1000), 14, 14).Draw(t, name) {
				values = append(values, float64(v+shift))
			}
			return values
		}
		x, y := draw("x", 0), draw("y", rapid.IntRange(0, 400).Draw(t, "shift"))
		ranks, ties := doubledRanks(x, y)
		sum := 0
		for _, rank := range ranks[:len(x)] {
			sum += rank
		}
		near, exact := normalP(len(x), len(y), sum, ties), exactP(ranks, len(x), sum)
		if math.Abs(near-exact) > 0.03 {
			t.Errorf("p is %v by approximation, and %v", near, exact)
		}
	})
}

func TestTheTestDoesNotCareWhoComesFirstNorForTheScale(t *testing.T) {
	values := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 9), func(n int) float64 { return float64(n) }), 1, 8)
	rapid.Check(t, func(t *rapid.T) {
		x, y := values.Draw(t, "x"), values.Draw(t, "y")
		p, turned := MannWhitney(x, y), MannWhitney(y, x)
		scaled := func(values []float64) (out []float64) {
			for _, v := range values {
				out = append(out, -3*v+7)
			}
			return out
		}
		if q := MannWhitney(scaled(x), scaled(y)); math.Abs(p-turned) > 1e-9 || math.Abs(p-q) > 1e-9 {
			t.Errorf("p is %v, %v and %v", p, turned, q)
		}
		if p < leastP(len(x), len(y))-1e-12 || p > 1 {
			t.Errorf("p is %v; the least is %v", p, leastP(len(x), len(y)))
		}
	})
}
