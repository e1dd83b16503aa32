package tiers

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onsale/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shared is a ledger of a house in which everything was shared out as it should be.
func shared() *ledger {
	l := newLedger(plans[1])
	l.note(stepRest, 0, 10*time.Second, spent{tierFront: {time.Second, time.Second}}, counts{})
	l.note(stepConnect, 100, time.Second, spent{}, counts{countSnapshots: {50, 50}})
	l.note(stepHold, 10_000, 2*time.Second, spent{tierFront: {500 * time.Millisecond, 300 * time.Millisecond}}, counts{countRequests: {5_000, 5_000}})
	l.note(stepCheckout, 10_000, time.Second, spent{}, counts{countCharges: {5_010, 4_990}, countRequests: {5_000, 5_000}})
	l.books, l.holds, l.partitions = []float64{6, 3, 3}, []float64{2_510, 1_240, 1_250}, []float64{5_000, 0, 2_500, 2_500, 0, 0}
	return l
}

func TestWorkThatIsSharedOutIsFoundToBe(t *testing.T) {
	t.Parallel()
	if found := shared().uneven(); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

func TestATierOfWhichOneDoesTheWorkIsFound(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*ledger){
		"front 1":           func(l *ledger) { l.steps[stepHold].counts[countRequests] = []float64{10_000, 0} },
		"feed 2":            func(l *ledger) { l.steps[stepConnect].counts[countSnapshots] = []float64{40, 60} },
		"settle 1":          func(l *ledger) { l.steps[stepCheckout].counts[countCharges] = []float64{10_000, 0} },
		"redis 1":           func(l *ledger) { l.holds = []float64{4_000, 500, 500} },
		"the striped event": func(l *ledger) { l.holds, l.books = []float64{5_000, 0, 0}, []float64{12, 0, 0} },
		"the purchases of":  func(l *ledger) { l.partitions = []float64{10_000, 0, 0, 0, 0, 0} },
	} {
		l := shared()
		spoil(l)
		said := ""
		for _, v := range l.uneven() {
			said += v.Subject + "\n"
		}
		if !strings.Contains(said, name) {
			t.Errorf("%s is not found: %q", name, said)
		}
	}
}

func TestWhatAProcessSpendsAtRestIsNoOperationsCost(t *testing.T) {
	t.Parallel()
	l := shared()
	// 0.8 s, less 0.2 cores for 2 s, over 10,000 holds.
	if got := l.cost(tierFront, stepHold); math.Abs(got-40) > 1e-9 {
		t.Errorf("a hold costs %v µs", got)
	}
}

func TestHousesAndTiersHaveAddressesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range plans {
		for _, tier := range tiers {
			for n := range 3 {
				address := p.address(tier, n)
				if seen[address] || !strings.HasPrefix(address, "127.") {
					t.Errorf("%s is another's too", address)
				}
				seen[address] = true
			}
		}
	}
}

func TestWrongSettingsOfTheTiersAreRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{Buyers: minBuyers - 1}, {Buyers: maxBuyers + 1}, {Watchers: 1}, {Watchers: maxWatchers + 1}, {Rounds: -1}, {Rounds: maxRounds + 1}} {
		if _, err := Run(t.Context(), cfg); !isConfigError(err) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func isConfigError(err error) bool {
	_, ok := errors.AsType[*bench.ConfigError](err)
	return ok
}
