package feed

import (
	"context"
	"fmt"
	"time"

	"onsale/bench/rawfeed"
	"onsale/internal/contest"
)

const (
	// deafShare is the part of the feeds that stop reading altogether.
	deafShare = 0.01
	// restFactor is how many times as long as an update took nothing is sent after it: the
	// feed takes such a rest, and an update that falls into it would wait.
	restFactor = 5
)

// fanOut measures how long it takes until everybody has one update: those of the feed,
// plain sockets that a bare loop writes the same bytes to, and those of the feed while
// some don't read at all.
func (r *run) fanOut(ctx context.Context) error {
	floors, err := r.openFloors(ctx)
	defer func() { floors.stop() }()
	if err != nil {
		return err
	}
	f := &fanOutContest{run: r, floors: floors, p99: contest.Figures{}, cost: contest.Figures{}, heard: contest.Figures{}, first: contest.Figures{},
		stalledShare: 1}
	figures, err := contest.Run(ctx, r.cfg.Rounds, []contest.Contestant{
		{Name: "fanout", Work: f.feed}, {Name: "fanout_floor", Work: f.floor}, {Name: "fanout_stalled", Work: f.stalled},
	}, func(round int, name string, figure float64) {
		r.tell("  round %d: %-14s %7.1f ms", round, name, figure)
	})
	if err != nil {
		return err
	}
	for name := range figures {
		r.figure(name, figures.Median(name), "ms")
		r.figure(name+"_p99", f.p99.Median(name), "ms")
		r.figure(name+"_first", f.first.Median(name), "ms")
		r.figure(name+"_cpu", f.cost.Median(name), "ms of CPU time")
		r.report.Sample(name, figures[name])
		r.report.Sample(name+"_p99", f.p99[name])
		r.report.Sample(name+"_cpu", f.cost[name])
		r.figure(name+"_cpu_of_clients", f.heard.Median(name), "ms of CPU time")
	}
	r.figure("update", float64(len(f.frame)), "bytes")
	r.ratio("fanout_vs_floor", figures.Ratio("fanout", "fanout_floor"))
	for ratio, rounds := range map[string][]float64{"fanout_vs_floor": figures.Ratios("fanout", "fanout_floor"),
		"fanout_cpu_vs_floor": f.cost.Ratios("fanout", "fanout_floor"), "stall_effect": f.p99.Ratios("fanout_stalled", "fanout")} {
		r.report.Sample(ratio, rounds)
	}
	r.ratio("stalled", min(1, f.stalledShare))
	r.ratio("fanout_cpu_vs_floor", f.cost.Ratio("fanout", "fanout_floor"))
	r.ratio("fanout_work_vs_floor", f.work().Ratio("fanout", "fanout_floor"))
	r.ratio("stall_effect", f.p99.Ratio("fanout_stalled", "fanout"))
	_, err = r.crowds.ask(ctx, func(int) task { return task{Do: doClose} })
	return err
}

// openFloors starts as many floors as there are feed processes, and connects the crowds to them.
func (r *run) openFloors(ctx context.Context) (team, error) {
	floors, err := startTeam("floor", r.cfg.Procs, r.cfg.Status)
	if err != nil {
		return nil, err
	}
	listening, err := floors.ask(ctx, func(int) task { return task{Do: doListen} })
	if err != nil {
		return floors, err
	}
	hosts := make([]string, len(floors))
	for i, o := range listening {
		hosts[i] = o.Address
	}
	counts := make([]int, len(floors)) // who gets how many, as crowds take targets in turn
	for i := range r.crowds {
		for n := range share(r.cfg.Conns, len(r.crowds), i) {
			counts[(i+n)%len(floors)]++
		}
	}
	accepted := make(chan error, 1)
	go func() { // ends when the floors have accepted all, or are stopped
		_, err := floors.ask(ctx, func(i int) task { return task{Do: doAccept, Count: counts[i]} })
		accepted <- err
	}()
	_, err = r.crowds.ask(ctx, func(i int) task {
		return task{Do: doOpen, Targets: rotate(hosts, i), Source: rawfeed.Source(i), Count: share(r.cfg.Conns, len(r.crowds), i), Abreast: abreastToConnect}
	})
	if err != nil {
		return floors, err
	}
	return floors, <-accepted
}

// fanOutContest is who is compared.
type fanOutContest struct {
	*run
	floors team
	frame  []byte          // what the last update sent to each client
	p99    contest.Figures // ms until 99 of 100 had the update, by contestant
	cost   contest.Figures // ms of CPU time of whoever sends it, by contestant
	heard  contest.Figures // ms of CPU time of the crowds, by contestant
	first  contest.Figures // ms until the first client had the update, by contestant
	last   time.Duration   // how long the last update took

	stalledShare float64 // of those who don't read the part that had stalled, in the worst round
}

// work is the CPU time of both sides together, in ms.
func (f *fanOutContest) work() contest.Figures {
	both := contest.Figures{}
	for name, sent := range f.cost {
		for round, ms := range sent {
			both[name] = append(both[name], ms+f.heard[name][round])
		}
	}
	return both
}

// cpu is the CPU time that whoever sends an update has used.
func (f *fanOutContest) cpu(bare bool) time.Duration {
	if !bare {
		return f.house.fleet.cpu()
	}
	return f.floors.cpu()
}

// rest leaves the feed alone for as long as it takes a rest itself.
func (f *fanOutContest) rest(ctx context.Context) error { return pause(ctx, restFactor*f.last) }

// feed holds one admission, and waits until all feeds have shown it.
func (f *fanOutContest) feed(ctx context.Context, round int) (ms float64, err error) {
	if err := f.rest(ctx); err != nil {
		return 0, err
	}
	return f.update(ctx, "fanout", round, false, f.cfg.Conns, f.buyers.one)
}

// floor has the bare loops write what the feed wrote last.
func (f *fanOutContest) floor(ctx context.Context, round int) (ms float64, err error) {
	if _, err := f.floors.ask(ctx, func(int) task { return task{Do: doBeat} }); err != nil {
		return 0, err
	}
	if err := f.rest(ctx); err != nil {
		return 0, err
	}
	return f.update(ctx, "fanout_floor", round, true, f.cfg.Conns, func() error {
		_, err := f.floors.ask(ctx, func(int) task { return task{Do: doSend, Bytes: f.frame} })
		return err
	})
}

// stalled is feed while some don't read at all.
func (f *fanOutContest) stalled(ctx context.Context, round int) (ms float64, err error) {
	if err := f.rest(ctx); err != nil {
		return 0, err
	}
	crowds := len(f.crowds)
	before, err := f.house.fleet.stalls(ctx)
	if err != nil {
		return 0, err
	}
	deafened, err := f.crowds.ask(ctx, func(i int) task {
		return task{Do: doDeafen, Count: max(1, share(int(deafShare*float64(f.cfg.Conns)), crowds, i))}
	})
	if err != nil {
		return 0, err
	}
	deaf := 0
	for _, o := range deafened {
		deaf += o.Count
	}
	have, err := f.house.fleet.untilStalls(ctx, before+float64(deaf))
	if err != nil {
		return 0, err
	}
	f.stalledShare = min(f.stalledShare, (have-before)/float64(deaf))
	ms, err = f.update(ctx, "fanout_stalled", round, false, f.cfg.Conns-deaf, f.buyers.one)
	if err != nil {
		return 0, err
	}
	_, err = f.crowds.ask(ctx, func(int) task { return task{Do: doRouse} })
	return ms, err
}

// update sends an update, and returns how long it took until all who should have it do.
func (f *fanOutContest) update(ctx context.Context, name string, round int, bare bool, want int, send func() error) (ms float64, err error) {
	if _, err := f.crowds.ask(ctx, func(int) task { return task{Do: doArm, Bare: bare} }); err != nil {
		return 0, err
	}
	began, used, hearing := time.Now(), f.cpu(bare), f.crowds.cpu()
	if err := send(); err != nil {
		return 0, fmt.Errorf("send an update: %w", err)
	}
	outcomes, err := f.crowds.ask(ctx, func(int) task { return task{Do: doCollect, Since: began.UnixNano()} })
	if err != nil {
		return 0, err
	}
	took, got, last := newTimes(), 0, int64(0)
	for _, o := range outcomes {
		got, last = got+o.Count, max(last, o.Last)
		if err := took.add(o.Took); err != nil {
			return 0, fmt.Errorf("read how long it took: %w", err)
		}
	}
	if got < want {
		f.broken("the fan-out", "%d of %d have not had an update within %v", want-got, want, collectWithin)
	}
	if !bare {
		f.frame = rawfeed.Server(f.cfg.opcode(), outcomes[0].Frame)
	}
	f.last = time.Duration(last - began.UnixNano())
	if round > 0 {
		f.p99[name] = append(f.p99[name], took.ms(99))
		f.first[name] = append(f.first[name], took.ms(0))
		f.heard[name] = append(f.heard[name], (f.crowds.cpu()-hearing).Seconds()*1e3)
		beats := f.report.Ratios["idle_cpu"] // cores, that the feed takes anyway
		if bare {
			beats = 0
		}
		f.cost[name] = append(f.cost[name], max(0, (f.cpu(bare)-used).Seconds()-beats*time.Since(began).Seconds())*1e3)
	}
	return float64(f.last) / 1e6, nil
}
