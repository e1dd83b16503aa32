package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/bench/timeline"
)

// How a rush goes is recorded without those who buy knowing of it: what is counted anyway
// (measure.go) is looked at four times a second, and what was added since then belongs to
// the tick that has just ended. Latencies alone are told one by one, since histograms
// can't be subtracted cheaply. A storm's workers do the same, each for its own crowd, and
// hand on what they have recorded with their ledgers.

// usageEvery is how often processes are asked what they use: /proc counts CPU time in
// hundredths of a second.
const usageEvery = time.Second

// shortRush is for how long it is looked what limits a rush whose people come all at once.
const shortRush = 5 * time.Second

// track has everything recorded, from now on: before anything is measured.
func (m *measured) track(line *timeline.Recorder) {
	m.line = line
	for _, s := range steps {
		s.latency(m).line = line.Durations(s.name)
	}
}

// counts looks at the counters of a crowd, and records what was added since it last did.
type counts struct {
	m      *measured
	before map[string]int64
}

// look records what was added in the tick that has ended.
func (c *counts) look(now time.Time) {
	m, at := c.m, now.Add(-timeline.Tick/2)
	add := func(name string, n int64) {
		m.line.Count(name, at, n-c.before[name])
		c.before[name] = n
	}
	for name, counter := range map[string]*atomic.Int64{
		"arrivals.buyers": &m.arrived,
		"answers.held":    &m.held, "answers.refused": &m.refused, "answers.accepted": &m.accepted,
		"answers.busy": &m.busy, "answers.errors": &m.errors,
		"orders.sold": &m.sold, "orders.declined": &m.declined, "orders.rejected": &m.rejected, "orders.refunded": &m.refunded,
		"frames.feed": &m.frames,
	} {
		add(name, counter.Load())
	}
	for code, n := range m.codes.all() {
		add("codes."+code, n)
	}
	m.line.Level("crowd.active", at, float64(m.active.Load()))
	m.line.Level("crowd.feeds", at, float64(m.feeds.Load()))
}

// record records how the rush goes until the returned function is called and returns. Of a
// storm that is what can be seen from outside: its workers record their crowd.
func (r *rush) record() (stop func()) {
	r.usage = newUsage(checkTarget("", r.cfg.Target, false) == nil)
	r.m.track(timeline.New(0))
	r.usage.look(time.Now())
	used := time.Now()
	outside := everyTick(func(now time.Time) {
		r.recordStock(now)
		if now.Sub(used) >= usageEvery {
			r.recordUsage(now)
			used = now
		}
	})
	if r.cfg.Storm.deals() {
		return outside
	}
	crowd := r.m.countOften()
	return func() { outside(); crowd() }
}

// recordCrowd records what a worker's own buyers meet, by the storm's clock, until the returned
// function is called and returns.
func (r *rush) recordCrowd(ahead time.Duration) (stop func()) {
	r.m.track(timeline.New(ahead))
	return r.m.countOften()
}

// countOften looks at the counters each tick until the returned function is called and returns.
func (m *measured) countOften() (stop func()) {
	return everyTick((&counts{m, map[string]int64{}}).look)
}

// everyTick calls look each tick, and once more when the returned function is called.
func everyTick(look func(now time.Time)) (stop func()) {
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(timeline.Tick)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				look(now)
			case <-done:
				look(time.Now())
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(done); looking.Wait() })
}

// recordStock records what the bench's own feed shows.
func (r *rush) recordStock(now time.Time) {
	stock, ok := r.stock()
	if !ok {
		return
	}
	for name, n := range map[string]int64{
		"stock.available": stock.Available, "stock.held": stock.Held, "stock.pinned": stock.Pinned, "stock.sold": stock.Sold,
	} {
		r.m.line.Level(name, now.Add(-timeline.Tick/2), float64(n))
	}
}

// recordUsage records what each process has used since it last did.
func (r *rush) recordUsage(now time.Time) {
	used := r.usage.look(now)
	r.mu.Lock()
	since, phase := now.Sub(r.opened), r.phase.Load()
	if (phase == PhaseStorm || phase == PhaseSettling) && since >= usageEvery && since < max(r.cfg.Over, shortRush)+usageEvery {
		r.strain.add(used)
	}
	r.mu.Unlock()
	for name, u := range used {
		r.m.line.Level("cpu."+name, now, round(u.Cores*100))
		r.m.line.Level("waiting."+name, now, round(u.Waiting))
		r.m.line.Level("memory."+name, now, float64(u.Memory))
	}
}

// stock is what the bench's own feed shows, of all sections together; false before it
// shows anything.
func (r *rush) stock() (sum onsale.Counts, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.watches) == 0 { // the first is the bench's own
		return sum, false
	}
	view := r.watches[0].view()
	if view == nil {
		return sum, false
	}
	for _, s := range view.Sections {
		sum.Available += s.Available
		sum.Held += s.Held
		sum.Pinned += s.Pinned
		sum.Sold += s.Sold
	}
	return sum, true
}

// mark notes that a phase begins.
func (r *rush) mark(phase Phase) {
	r.m.line.Mark(timeline.Mark{At: time.Now(), Kind: "phase", Text: string(phase)})
}

// timelines ends the recording and returns how the rush went; none if nothing was recorded.
func (r *rush) timelines() []*timeline.Timeline {
	if r.recorded != nil {
		r.recorded()
	}
	r.mu.Lock()
	opened := r.opened
	r.mu.Unlock()
	if line := timeline.Join(opened, append(r.shards, r.m.line.Shard())...); line != nil {
		return []*timeline.Timeline{line}
	}
	return nil
}
