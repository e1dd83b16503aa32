package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
)

const workersToken = "let me in"

// stormy is a storm whose workers are goroutines of the test: everything but the processes. They join by
// themselves, like those of other machines.
func stormy(t *testing.T, cfg RushConfig, workers int) RushConfig {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Storm = StormConfig{Await: workers, Listen: address, Token: workersToken}
	return cfg
}

// join has a worker join when there is something to join.
func join(ctx context.Context, address string) error {
	for {
		err := joinStorm(ctx, address, workersToken)
		if !errors.Is(err, errNobodyThere) || !waitUntil(ctx, time.Now().Add(10*time.Millisecond)) {
			return err
		}
	}
}

// storm makes a storm with so many workers, and returns what they ended with too.
func storm(t *testing.T, cfg RushConfig, workers int) (report *Report, ends []error, err error) {
	cfg = stormy(t, cfg, workers)
	ended := make(chan error, workers)
	for range workers {
		go func() { ended <- join(t.Context(), cfg.Storm.Listen) }()
	}
	report, err = Rush(t.Context(), cfg)
	for range workers {
		ends = append(ends, <-ended)
	}
	return report, ends, err
}

func TestAStormDealsItsBuyersOutAndJoinsWhatTheyWereTold(t *testing.T) {
	f := newFake(t, breakage{})
	var opened atomic.Bool
	cfg := quick(f, 60)
	cfg.Progress = func(p Progress) {
		if p.Phase == PhaseStorm && p.Feeds == 64 && p.Arrived == 0 {
			opened.Store(true)
		}
	}
	report, ends, err := storm(t, cfg, 3)
	if err := errors.Join(append(ends, err)...); err != nil {
		t.Fatal(err)
	}
	figure := func(name string) float64 { return report.Figures[name].Value }
	if !report.OK || figure("buyers") != 60 || figure("workers") != 3 || figure("errors") != 0 {
		t.Errorf("not everybody came, or there were errors: %+v %v", report.Figures, report.Notes)
	}
	if figure("held") == 0 || figure("accepted") != figure("sold")+figure("declined") || figure("declined") == 0 {
		t.Errorf("%v held, %v accepted, %v sold, %v declined", figure("held"), figure("accepted"), figure("sold"), figure("declined"))
	}
	if figure("hold_count") != figure("held")+figure("refused")+figure("double_clicks") || figure("session_count") != 60 || figure("answered_count") != 60 {
		t.Errorf("what was timed was not joined: %+v", report.Figures)
	}
	if report.Ratios["feeds_checked"] != 1 || figure("feeds_checked") != 64 { // each worker has a feed of its own, as the storm has
		t.Errorf("not every feed was compared: %v of 64", figure("feeds_checked"))
	}
	if !opened.Load() {
		t.Error("nobody saw all feeds open and nobody at the doors yet")
	}
}

func TestAStormFindsBrokenPromisesThatNoWorkerCanSeeAlone(t *testing.T) {
	for name, test := range map[string]struct {
		breaks    breakage
		invariant onsale.Invariant
	}{
		"a seat is sold to two":               {breakage{sellsSeatsTwice: true}, onsale.InvariantClaims},
		"an accepted order is forgotten":      {breakage{forgetsOrders: true}, onsale.InvariantOrders},
		"one key makes two holds":             {breakage{holdsAnewPerRequest: true}, onsale.InvariantKeys},
		"two admissions have the same ticket": {breakage{repeatsTickets: true}, onsale.InvariantKeys},
		"a feed is stuck":                     {breakage{stallsFeed: true}, onsale.InvariantFeed},
		"a feed sends nonsense":               {breakage{sendsNonsense: true}, onsale.InvariantFeed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick(newFake(t, test.breaks), 60)
			if test.breaks.forgetsOrders {
				cfg.ResultTimeout = time.Second
			}
			if test.breaks.sellsSeatsTwice {
				cfg.Create = house(60, time.Minute)
			}
			report, _, err := storm(t, cfg, 2)
			var broken *onsale.AuditError
			if !errors.As(err, &broken) || report == nil || report.OK {
				t.Fatalf("not found out: %v, %+v", err, report)
			}
			if !slices.ContainsFunc(report.Audit.Violations, func(v onsale.Violation) bool { return v.Invariant == test.invariant }) {
				t.Errorf("no violation of invariant %d in\n%v", test.invariant, err)
			}
		})
	}
}

func TestAWorkerThatDiesFailsTheStorm(t *testing.T) {
	f := newFake(t, breakage{})
	cfg := stormy(t, quick(f, 60), 2)
	cfg.Over = time.Minute // it dies long before the last one comes
	dying, die := context.WithCancel(t.Context())
	cfg.Progress = func(p Progress) {
		if p.Arrived > 0 {
			die()
		}
	}
	ended := make(chan error, 2)
	go func() { ended <- join(t.Context(), cfg.Storm.Listen) }()
	go func() { ended <- join(dying, cfg.Storm.Listen) }()
	report, err := Rush(t.Context(), cfg)
	if !errors.Is(err, errNoWorker) || report != nil {
		t.Errorf("a worker has died, and the storm says %v, %+v", err, report)
	}
	for range 2 { // and the other one goes too
		if err := <-ended; err == nil {
			t.Error("a worker of a storm that failed says that all is well")
		}
	}
}

func TestNobodyJoinsAStormWithoutItsToken(t *testing.T) {
	f := newFake(t, breakage{})
	cfg := stormy(t, quick(f, 12), 1)
	ended := make(chan error, 1)
	go func() {
		for {
			err := joinStorm(t.Context(), cfg.Storm.Listen, "a guess")
			if errors.Is(err, errNobodyThere) && waitUntil(t.Context(), time.Now().Add(10*time.Millisecond)) {
				continue
			}
			go func() { ended <- join(t.Context(), cfg.Storm.Listen) }()
			if err == nil {
				t.Error("a stranger was let in")
			}
			return
		}
	}()
	if _, err := Rush(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheSameCrowdComesWhateverTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	for _, users := range []int{1, 7, 60} {
		for _, workers := range []int{1, 2, 3, 8} {
			var owners []int
			sum := 0
			for n := range users {
				of := 0
				for i := range workers {
					if (share{i, workers}).has(n) {
						of++
					}
				}
				owners = append(owners, of)
			}
			for i := range workers {
				sum += (share{i, workers}).size(users)
			}
			if sum != users || slices.ContainsFunc(owners, func(of int) bool { return of != 1 }) {
				t.Errorf("%d users, %d workers: %d are dealt out, buyers belong to %v workers", users, workers, sum, owners)
			}
		}
	}
}

func TestAStormWhoseWorkersHadNoProcessorLeftIsVoid(t *testing.T) {
	t.Parallel()
	for busiest, void := range map[float64]bool{0.5: false, 1: true} {
		r := &rush{crew: &crew{}, cfg: RushConfig{MostLate: time.Second}, storming: stormed{busiest: busiest}}
		if got := r.overtaxed(); (got != "") != void {
			t.Errorf("%v of a processor: %q", busiest, got)
		}
	}
}

// A worker idles when all is sold out, and may have measured itself before.
func TestAWorkerIsAsBusyAsItWasWhenItWasBusiest(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		cpu  []int // ms used until the end of each second
		want float64
	}{
		"two seconds of a minute's":     {append([]int{100, 1100, 2100}, slices.Repeat([]int{2100}, 57)...), 1},
		"one second of a minute's":      {append([]int{100, 1100, 1100}, slices.Repeat([]int{1100}, 57)...), 0.5},
		"all of a second's":             {[]int{0, 900}, 0.9},
		"nothing, as there is no /proc": {[]int{0, 0, 0, 0}, 0},
	} {
		var looks []spent
		for i, ms := range test.cpu {
			looks = append(looks, spent{noon.Add(time.Duration(i) * time.Second), time.Duration(ms) * time.Millisecond})
		}
		if got := greatestShare(looks); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// Workers come in any order, and each says itself whose machine it is on.
func TestCPUTimeOfOtherMachinesIsNotThisOnes(t *testing.T) {
	t.Parallel()
	var s stormed
	s.add(tidings{CPU: 7 * time.Second, Busiest: 0.3})
	s.add(tidings{CPU: 2 * time.Second, Busiest: 0.2, Near: true})
	if s.cpu != 2*time.Second || s.busiest != 0.3 {
		t.Errorf("%v on this machine, %v at the most", s.cpu, s.busiest)
	}
}

func TestWorkersAreForCrowdsThatNeedThem(t *testing.T) {
	t.Parallel()
	few, err := WorkersFor(inProcess)
	if err != nil || few != 0 {
		t.Errorf("%d users need %d workers, %v", inProcess, few, err)
	}
	if many, err := WorkersFor(maxUsers); err != nil || many < 2 {
		t.Errorf("%d users need %d workers, %v", maxUsers, many, err)
	}
}

func TestAHallHasTheTicketsItWasAskedFor(t *testing.T) {
	t.Parallel()
	for _, tickets := range []int{1, 3, 40, 333, 5_000, 50_000} {
		event := hall(tickets)
		if err := event.Complete(); err != nil {
			t.Errorf("%d tickets: %v", tickets, err)
		}
		if got := event.Capacity(); got != int64(tickets) {
			t.Errorf("%d tickets were asked for, %d are there: %s", tickets, got, fmt.Sprint(event.Sections))
		}
	}
}
