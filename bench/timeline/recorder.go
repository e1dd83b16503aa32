// Package timeline keeps what happens while a bench runs, by the moment: how many came,
// what they were answered, how long that took, what was left, what each process used, and
// what went wrong on purpose. A chart is drawn from it.
//
// A Recorder (recorder.go) collects in a process, in ticks of a quarter of a second that
// begin at the same moments everywhere; what many of them have seen is joined (join.go) to
// one Timeline, exactly: counts are added, histograms bucket by bucket (histogram.go).
// Nothing is ever an average of percentiles.
package timeline

import (
	"maps"
	"sync"
	"time"
)

const (
	// Tick is how finely time is told apart.
	Tick = 250 * time.Millisecond
	// maxTicks bounds what a recorder keeps: an hour and twenty minutes. What is in later
	// ticks than so many after the first is counted in Shard.Cut, and else lost.
	maxTicks = 20_000
	// maxNames bounds how many counts, and how many levels, there are in a recorder.
	maxNames = 128
	// maxMarks bounds the marks of a recorder.
	maxMarks = 400
)

// Mark is a moment, or a span, that something began in.
type Mark struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"` // zero of a moment
	Kind  string    `json:"kind"`           // "phase" or "fault"
	Text  string    `json:"text"`
}

// Recorder collects what one process sees. Its methods may be called from any
// goroutine, and on nil, where they do nothing: not all that is measured is recorded.
type Recorder struct {
	ahead time.Duration // that the clock by which all are joined is ahead of this process's

	mu     sync.Mutex
	first  int64                 // under mu: the first tick; 0 as long as there is none
	shard  Shard                 // under mu: all of it but the durations
	timers map[string]*Durations // under mu, by name
}

// Shard is what one recorder has collected, on its way to those of others. Its JSON
// form is between processes of the same version.
type Shard struct {
	Counts    map[string]map[int64]int64      `json:"counts"`    // by name and tick
	Levels    map[string]map[int64]float64    `json:"levels"`    // the last one of a tick
	Durations map[string]map[int64]*Histogram `json:"durations"` // of what ended in a tick
	Marks     []Mark                          `json:"marks"`
	Cut       int64                           `json:"cut"` // what came when the recorder was full
}

// New returns a recorder. ahead is what must be added to this process's clock to have the
// one by which all shards are joined.
func New(ahead time.Duration) *Recorder {
	return &Recorder{ahead: ahead, timers: map[string]*Durations{}, shard: Shard{
		Counts: map[string]map[int64]int64{}, Levels: map[string]map[int64]float64{}, Durations: map[string]map[int64]*Histogram{}}}
}

// tick is the tick of a moment; false if it is beyond what is kept.
func (r *Recorder) tick(at time.Time) (int64, bool) {
	n := at.Add(r.ahead).UnixNano() / int64(Tick)
	if r.first == 0 {
		r.first = n
	}
	if n-r.first >= maxTicks || r.first-n >= maxTicks {
		r.shard.Cut++
		return 0, false
	}
	return n, true
}

// Count adds so many of something that happened at a time. A name is "group.what".
func (r *Recorder) Count(name string, at time.Time, n int64) {
	if r == nil || n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if tick, ok := r.tick(at); ok && room(r.shard.Counts, name, &r.shard.Cut) {
		r.shard.Counts[name][tick] += n
	}
}

// Level says how much there was of something at a time.
func (r *Recorder) Level(name string, at time.Time, value float64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if tick, ok := r.tick(at); ok && room(r.shard.Levels, name, &r.shard.Cut) {
		r.shard.Levels[name][tick] = value
	}
}

// room makes room for a name, if there may be one more.
func room[V any](all map[string]map[int64]V, name string, cut *int64) bool {
	if all[name] != nil {
		return true
	}
	if len(all) == maxNames {
		*cut++
		return false
	}
	all[name] = map[int64]V{}
	return true
}

// Mark notes a moment.
func (r *Recorder) Mark(m Mark) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.shard.Marks) == maxMarks {
		r.shard.Cut++
		return
	}
	m.At = m.At.Add(r.ahead)
	if !m.Until.IsZero() {
		m.Until = m.Until.Add(r.ahead)
	}
	r.shard.Marks = append(r.shard.Marks, m)
}

// Durations is how long one thing took, by when it ended. It has a lock of its own: it is
// what is recorded most.
type Durations struct {
	line *Recorder

	mu    sync.Mutex
	ticks map[int64]*Histogram // under mu
	cut   int64                // under mu: what came when there were too many
}

// Durations returns those of a name, always the same ones; nil on nil.
func (r *Recorder) Durations(name string) *Durations {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.timers[name]
	if d == nil {
		d = &Durations{line: r, ticks: map[int64]*Histogram{}}
		r.timers[name] = d
	}
	return d
}

// Took records that something took so long, so many times, and ended at the given
// time. On nil it does nothing.
func (d *Durations) Took(at time.Time, took time.Duration, times uint64) {
	if d == nil {
		return
	}
	n := at.Add(d.line.ahead).UnixNano() / int64(Tick)
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.ticks[n]
	if h == nil {
		if len(d.ticks) >= maxTicks {
			d.cut += int64(times)
			return
		}
		h = new(Histogram)
		d.ticks[n] = h
	}
	h.Record(took, times)
}

// Shard returns a copy of what was collected so far; nil on nil.
func (r *Recorder) Shard() *Shard {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := &Shard{Counts: cloneAll(r.shard.Counts), Levels: cloneAll(r.shard.Levels), Durations: map[string]map[int64]*Histogram{},
		Marks: append([]Mark(nil), r.shard.Marks...), Cut: r.shard.Cut}
	for name, d := range r.timers {
		ticks, cut := d.clone()
		copied.Durations[name] = ticks
		copied.Cut += cut
	}
	return copied
}

func (d *Durations) clone() (map[int64]*Histogram, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ticks := make(map[int64]*Histogram, len(d.ticks))
	for n, h := range d.ticks {
		ticks[n] = new(Histogram)
		ticks[n].Add(h)
	}
	return ticks, d.cut
}

func cloneAll[V any](all map[string]map[int64]V) map[string]map[int64]V {
	copied := make(map[string]map[int64]V, len(all))
	for name, ticks := range all {
		copied[name] = maps.Clone(ticks)
	}
	return copied
}
