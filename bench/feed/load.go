package feed

import (
	"context"
	"time"
)

const (
	// churnRate is how many holds a second are asked for while clients come and go: enough
	// that there is always something to tell.
	churnRate = 20
	// churnTime is how long a client stays, on average, while they come and go.
	churnTime = 2 * time.Minute
	// churnLooks is how often memory and files are looked at meanwhile.
	churnLooks = 40
	// herdPatience is how long a herd may take until all of it is back.
	herdPatience = 5 * time.Minute
)

// load asks for holds and measures how soon everybody sees them.
func (r *run) load(ctx context.Context) error {
	if err := r.forget(ctx); err != nil {
		return err
	}
	used := r.house.fleet.cpu()
	a := r.during(ctx, r.cfg.Rate, func(ctx context.Context) error { return pause(ctx, r.cfg.Lasting) })
	if a.fatal != nil {
		return a.fatal
	}
	r.figure("load_cpu", (r.house.fleet.cpu()-used).Seconds()/r.cfg.Lasting.Seconds(), "cores")
	s, err := r.taken(ctx)
	if err != nil {
		return err
	}
	r.asked("hold", a)
	r.figure("delivery_p50", s.delivery.ms(50), "ms")
	r.figure("delivery_p99", s.delivery.ms(99), "ms")
	r.figure("staleness_p50", s.stale.ms(50), "ms")
	r.figure("staleness_p99", s.stale.ms(99), "ms")
	r.figure("deltas_per_conn", float64(s.deltas)/float64(r.cfg.Conns)/r.cfg.Lasting.Seconds(), "1/s")
	r.figure("gaps", float64(s.gaps), "gaps")
	return nil
}

// herd cuts every connection at once, all of which come back at once, while holds are asked for.
func (r *run) herd(ctx context.Context) error {
	var back time.Duration
	a := r.during(ctx, r.cfg.Rate, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, herdPatience)
		defer cancel()
		began := time.Now()
		_, err := r.crowds.ask(ctx, func(int) task { return task{Do: doHerd, Abreast: r.cfg.Conns} })
		back = time.Since(began)
		if rest := r.cfg.Lasting - back; err == nil && rest > 0 {
			err = pause(ctx, rest)
		}
		return err
	})
	if a.fatal != nil {
		return a.fatal
	}
	s, err := r.taken(ctx)
	if err != nil {
		return err
	}
	r.asked("herd_hold", a)
	r.figure("herd_back", back.Seconds(), "s")
	r.figure("herd_refused", float64(s.refused), "upgrades")
	if quiet := r.report.Figures["hold_p99"].Value; quiet > 0 {
		r.ratio("herd_effect", a.took.ms(99)/quiet)
	}
	return nil
}

// during asks for holds while do does something, and has it in fatal if that failed.
func (r *run) during(ctx context.Context, rate float64, do func(context.Context) error) *asking {
	asking, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { // ends with do, which is waited for
		defer stop()
		done <- do(ctx)
	}()
	a := r.buyers.ask(asking, rate)
	a.fatal = <-done
	return a
}

// asked reports what came of holds.
func (r *run) asked(name string, a *asking) {
	r.figure(name+"_p50", a.took.ms(50), "ms")
	r.figure(name+"_p99", a.took.ms(99), "ms")
	r.figure(name+"s", float64(a.took.TotalCount()), "holds")
	r.figure(name+"s_refused", float64(a.refused), "holds")
	r.figure(name+"s_failed", float64(a.failed), "holds")
	if a.err != nil {
		r.tell("  the last failure: %v", a.err)
	}
}
