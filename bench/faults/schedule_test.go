package faults

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"onsale/internal/crashpoint"
)

const half = 30 * time.Second

func TestTheSameSeedIsTheSameSchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		first := Plan(seed, half, 2*time.Second)
		if !reflect.DeepEqual(first, Plan(seed, half, 2*time.Second)) {
			t.Fatalf("seed %d gives two schedules", seed)
		}
		if reflect.DeepEqual(first, Plan(seed+1, half, 2*time.Second)) {
			t.Errorf("seeds %d and %d give one schedule", seed, seed+1)
		}
	}
}

func TestASchedulesFaultsComeInTheStormAfterItHasShownThatItIsOne(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		for _, duration := range []time.Duration{shortestRun, half, 5 * time.Minute} {
			plan := Plan(seed, duration, 2*time.Second)
			if !slices.IsSortedFunc(plan, func(a, b Fault) int { return int(a.At - b.At) }) {
				t.Fatalf("seed %d: not in order: %v", seed, plan)
			}
			for _, f := range plan {
				if f.At < min(calm, duration/3) || f.At >= duration {
					t.Errorf("seed %d, %v: %v comes at %v", seed, duration, f, f.At)
				}
				if f.Kind == Pause && (f.Lasting < time.Second || f.Lasting > longestPause) {
					t.Errorf("seed %d: %v", seed, f)
				}
			}
		}
	}
}

// TestFortyRunsMeetEveryFaultAndDieAtEveryPointFiveTimes is what a long run is for.
func TestFortyRunsMeetEveryFaultAndDieAtEveryPointFiveTimes(t *testing.T) {
	t.Parallel()
	const runs = 40
	for _, first := range []uint64{1, 7, 1000} {
		met, died, all, at := map[card]int{}, map[crashpoint.Point]int{}, 0, map[time.Duration]int{}
		for seed := first; seed < first+runs; seed++ {
			for _, f := range Plan(seed, half, holdTimeOf(seed)) {
				all++
				met[card{f.Kind, f.Target}]++
				died[f.Point]++
				at[f.At+time.Duration(seed)*time.Hour]++
			}
		}
		for _, c := range deck {
			if met[c] == 0 {
				t.Errorf("from seed %d on nobody meets %v", first, c)
			}
		}
		for _, p := range crashpoint.OfPurchases {
			if died[p] < 5 {
				t.Errorf("from seed %d on %q is hit %d times", first, p, died[p])
			}
		}
		together := 0
		for _, n := range at {
			together += n - 1
		}
		if all < 120 || together < all/6 {
			t.Errorf("from seed %d on: %d faults, %d of them together with another", first, all, together)
		}
	}
}
