package compare

import (
	"math"
	"slices"
)

// exactUpTo is how many samples of both together are still counted out; beyond, the sum
// of ranks is as good as normally distributed.
const exactUpTo = 60

// MannWhitney is the probability that two sets of samples which differ only by chance
// differ as much as these, or more: the two-sided p of the Mann–Whitney U test. It is exact
// for up to 60 samples in all, equal ones included: all ways to deal the samples' ranks to
// the two are counted. Beyond that it is the normal approximation, corrected for ties and for
// continuity. Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947). 1 if a
// set is empty.
func MannWhitney(x, y []float64) float64 {
	if len(x) == 0 || len(y) == 0 {
		return 1
	}
	ranks, ties := doubledRanks(x, y)
	sum := 0
	for _, rank := range ranks[:len(x)] {
		sum += rank
	}
	if len(ranks) <= exactUpTo {
		return exactP(ranks, len(x), sum)
	}
	return normalP(len(x), len(y), sum, ties)
}

// normalP takes the sum of n ranks, doubled, among n+m as normally distributed.
func normalP(n, m, sum int, ties float64) float64 {
	x, y := float64(n), float64(m)
	total := x + y
	u := float64(sum)/2 - x*(x+1)/2
	deviation := math.Sqrt(x * y / 12 * (total + 1 - ties/(total*(total-1))))
	if deviation == 0 { // all are equal
		return 1
	}
	z := max(0, math.Abs(u-x*y/2)-0.5) / deviation
	return math.Erfc(z / math.Sqrt2)
}

// doubledRanks are twice the ranks of x and then of y among all: equal samples share the
// mean of theirs, which may end in a half. ties is the sum of t³-t over the groups of equals.
func doubledRanks(x, y []float64) (ranks []int, ties float64) {
	all := slices.Concat(x, y)
	sorted := slices.Sorted(slices.Values(all))
	for _, v := range all {
		first, _ := slices.BinarySearch(sorted, v)
		after := first
		for after < len(sorted) && sorted[after] == v {
			after++
		}
		ranks = append(ranks, first+1+after)
		t := float64(after - first)
		ties += t*t - 1 // (t³-t), shared out among the t
	}
	return ranks, ties
}

// exactP counts the ways to deal n of the ranks, by their sum: how many of them are as far
// from the middle as the sum that was found, or farther, on the side where they are fewer,
// and then on both.
func exactP(ranks []int, n, found int) float64 {
	most := 0
	for _, rank := range ranks {
		most += rank
	}
	ways := make([][]float64, n+1) // by how many were dealt, and their sum
	for i := range ways {
		ways[i] = make([]float64, most+1)
	}
	ways[0][0] = 1
	for _, rank := range ranks {
		for dealt := n; dealt > 0; dealt-- {
			for sum := most; sum >= rank; sum-- {
				ways[dealt][sum] += ways[dealt-1][sum-rank]
			}
		}
	}
	all, below, above := 0.0, 0.0, 0.0
	for sum, count := range ways[n] {
		all += count
		if sum <= found {
			below += count
		}
		if sum >= found {
			above += count
		}
	}
	return min(1, 2*min(below, above)/all)
}

// leastP is the least p that sets of so many samples can have.
func leastP(n, m int) float64 {
	if n == 0 || m == 0 {
		return 1
	}
	ways := 1.0 // n+m over n
	for i := 1; i <= n; i++ {
		ways = ways * float64(m+i) / float64(i)
	}
	return min(1, 2/ways)
}
