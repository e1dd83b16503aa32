package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"onsale"
	"onsale/bench/rawfeed"
)

// A storm is a rush whose buyers are dealt out to workers, processes with a share of them each,
// on this machine and others. What is promised of it:
//
//   - the same seed makes the same crowd, whatever the number of workers (share.go);
//   - everybody is signed in and watches before the doors open, at one moment for all, by
//     clocks that were compared before (crew.go);
//   - what was measured is joined exactly (account.go), and so are the ledgers (bequest.go), which are
//     judged as one; each worker holds its own feeds against what the server shows;
//   - a worker that dies, at any moment, fails the run, and says so: there is no report of a part of
//     the crowd. A coordinator that dies takes its workers with it: they notice that the connection
//     has ended, and on its machine the kernel sees to it besides;
//   - it watches itself: if the bench was the bottleneck, the run is void.
//
// The coordinator is a rush like any other, without buyers of its own.

// StormConfig says how a crowd is dealt out. The zero value keeps it in this process.
type StormConfig struct {
	Workers int    // processes on this machine
	Await   int    // workers of other machines, which join by themselves
	Listen  string // where they do, as host:port; default a free port of this machine alone
	Token   string `json:"-"` // what they join with; default one that is made up
}

const (
	// inProcess is the most users of a rush that stays in one process unless it is told otherwise.
	inProcess = 5_000
	// maxWorkers bounds the connections and the patience of a coordinator.
	maxWorkers = 64
	// doorsIn is how long after the word the doors open: the word must have come to everybody, and everybody be ready.
	doorsIn = 5 * time.Second
	// soldOutLook is how often it is looked whether anything is left, for the moment when there isn't.
	soldOutLook = 250 * time.Millisecond
	// mostOfACore is the share of its processors that a worker may need for longer than effortWindow. One that the
	// storm has started has one processor.
	mostOfACore = 0.95
)

// deals reports whether there are workers.
func (c StormConfig) deals() bool { return c.Workers+c.Await > 0 }

func (c StormConfig) validate(rush RushConfig) error {
	switch {
	case runtime.GOOS != "linux":
		return wrong("workers: a storm of several processes needs Linux; ask for fewer users and leave --workers away")
	case c.Workers < 0 || c.Await < 0 || c.Workers+c.Await > maxWorkers:
		return wrong("workers: %d here and %d elsewhere must be from 1 to %d", c.Workers, c.Await, maxWorkers)
	case c.Await > 0 && (c.Listen == "" || c.Token == ""):
		return wrong("await: workers of other machines need to know where to go: add --listen HOST:PORT and --token")
	case rush.Aftermath || rush.Forgetful:
		return wrong("workers: an aftermath is for a rush of one process")
	}
	_, err := feedHosts(rush.FeedTarget)
	return err
}

// WorkersFor is how many processes a crowd of so many users needs on this machine: none besides
// this one while it is small, else one for each processor, and as many as have the open files.
func WorkersFor(users int) (int, error) {
	if users <= inProcess {
		return 0, nil
	}
	files, err := fileLimit()
	if err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	if files < 2*spareFiles {
		return 0, wrong("users: a process may open %d files: raise that with ulimit -n", files)
	}
	room := int(files) - spareFiles
	return max(runtime.NumCPU(), (users+room-1)/room), nil
}

// stormed is what is known of a storm besides what its buyers measured.
type stormed struct {
	cpu     time.Duration            // that the bench used on this machine while it stormed
	busiest float64                  // of the processors that it may use: the worker that needed most, when it did
	soldOut time.Duration            // from the doors on until nothing was left; 0 if something always was
	served  map[string]time.Duration // CPU time that what was stormed used meanwhile, by what it is; empty if that isn't known
}

// stormBy has the buyers come: here, or with the workers.
func (r *rush) stormBy(ctx context.Context) (err error) {
	if !r.cfg.Storm.deals() {
		r.storm(ctx)
		return nil
	}
	if r.crew, err = muster(ctx, r); err != nil {
		return fmt.Errorf("calling the workers together: %w", err)
	}
	r.enter(PhaseOpening)
	cast := func(i int) duty {
		return duty{Do: dutyOpen, Open: &casting{Config: r.cfg, Event: r.layout.Event, Source: rawfeed.Source(i), Ahead: -r.crew.hands[i].offset,
			Share: share{First: i, Step: len(r.crew.hands)}}}
	}
	if _, err := r.crew.ask(ctx, cast); err != nil {
		return fmt.Errorf("opening the feeds: %w", err)
	}
	if err := r.stormOutside(ctx); err != nil {
		return fmt.Errorf("the storm: %w", err)
	}
	ledgers, err := r.crew.ask(ctx, func(int) duty { return duty{Do: dutyHand} })
	for i, t := range ledgers {
		r.ledger.inherit(t.Ledger, r.crew.hands[i].offset)
		r.shards = append(r.shards, t.Line)
	}
	return err
}

// stormOutside opens the doors and returns when the last buyer of the last worker has left.
func (r *rush) stormOutside(ctx context.Context) error {
	doors := time.Now().Add(doorsIn)
	r.mu.Lock()
	r.opened = doors
	r.mu.Unlock()
	before, used, served := r.m.requests.Load(), ownCPU(), r.cfg.Used()
	looking, stop := context.WithCancel(ctx)
	soldOut := make(chan time.Duration, 1)
	go func() { soldOut <- r.awaitSoldOut(looking, doors) }() // ends with looking, and is waited for
	entered := time.AfterFunc(time.Until(doors.Add(r.cfg.Over)), func() { r.enter(PhaseSettling) })
	r.enter(PhaseStorm)
	told, err := r.crew.ask(ctx, func(i int) duty { return duty{Do: dutyStorm, Doors: r.crew.hands[i].clock(doors)} })
	entered.Stop()
	stop()
	r.storming.soldOut = <-soldOut
	r.storming.cpu = ownCPU() - used
	r.storming.served = r.cfg.Used()
	for of := range r.storming.served {
		r.storming.served[of] -= served[of]
	}
	for _, t := range told {
		r.stormed = max(r.stormed, t.Stormed)
		r.storming.add(t)
	}
	r.requests = r.m.requests.Load() - before
	return err
}

// add takes a worker's storm in.
func (s *stormed) add(t tidings) {
	s.busiest = max(s.busiest, t.Busiest)
	if t.Near {
		s.cpu += t.CPU
	}
}

// awaitSoldOut says how long after the doors nothing was left, as the server shows it; 0 if it
// doesn't come to that until ctx ends. It asks, for a feed is told later than that.
func (r *rush) awaitSoldOut(ctx context.Context, doors time.Time) time.Duration {
	for next := doors; waitUntil(ctx, next); next = time.Now().Add(soldOutLook) {
		shown, asked := new(onsale.FeedSnapshot), time.Now()
		if r.availability(ctx, shown) != nil { // who else asks will say why
			continue
		}
		left := int64(0)
		for _, s := range shown.Sections {
			left += s.Available
		}
		if left == 0 {
			return asked.Sub(doors)
		}
	}
	return 0
}

// stormFigures adds what is known of a storm alone.
func (r *rush) stormFigures(figures map[string]Figure) {
	if r.crew == nil {
		return
	}
	cores := func(used time.Duration) Figure {
		return Figure{round(float64(used) / float64(max(r.stormed, 1))), "processors"}
	}
	figures["workers"] = Figure{float64(len(r.crew.hands)), "processes"}
	figures["cpu_bench"] = cores(r.storming.cpu)
	for of, used := range r.storming.served {
		figures["cpu_"+of] = cores(used)
	}
	figures["bench_busiest"] = Figure{round(r.storming.busiest), "of its processors"}
	if r.storming.soldOut > 0 {
		figures["sold_out"] = inMs(r.storming.soldOut)
	}
}

// overtaxed says why the figures of a storm are those of the bench, besides its lateness; "" if they
// are the server's, and if the bench may be however late.
func (r *rush) overtaxed() string {
	if r.crew == nil || r.cfg.MostLate == 0 || r.storming.busiest <= mostOfACore {
		return ""
	}
	return fmt.Sprintf("the generator was the bottleneck: a worker needed %.0f %% of its processors for %v", 100*r.storming.busiest, effortWindow)
}

var errNoWorker = errors.New("a worker has failed")
