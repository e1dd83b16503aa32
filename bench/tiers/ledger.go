package tiers

import (
	"fmt"
	"sync"
	"time"

	"onsale"
)

// ledger is what became of all rounds in one house. Round 0 warms up: its figures don't count, its
// broken promises do.
type ledger struct {
	plan  plan
	steps map[string]*bill // what each step has cost

	changes    float64   // of the striped event's stock while it was held, as its feed counts them: calls that changed it
	exact      int       // feeds that ended at the server's view
	books      []float64 // of the striped events on each shard
	holds      []float64 // that were granted in those books
	partitions []float64 // purchases in each partition
	resident   float64   // bytes of memory of the largest front, at the end

	mu         sync.Mutex
	violations []onsale.Violation // under mu
}

// bill is what a step has cost, over all rounds.
type bill struct {
	ops    int
	took   time.Duration
	spent  spent
	counts counts
}

func newLedger(p plan) *ledger {
	return &ledger{plan: p, steps: map[string]*bill{}}
}

// note adds what a step has cost.
func (l *ledger) note(step string, ops int, took time.Duration, used spent, counted counts) {
	b := l.steps[step]
	if b == nil {
		b = &bill{spent: spent{}, counts: counts{}}
		l.steps[step] = b
	}
	b.ops, b.took = b.ops+ops, b.took+took
	for tier, each := range used {
		b.spent[tier] = addUp(b.spent[tier], each)
	}
	for name, each := range counted {
		b.counts[name] = addUp(b.counts[name], each)
	}
}

func addUp[T time.Duration | float64](sum, more []T) []T {
	if sum == nil {
		sum = make([]T, len(more))
	}
	for i, v := range more {
		sum[i] += v
	}
	return sum
}

// forget drops the figures of the round that warms up.
func (l *ledger) forget() {
	l.steps, l.changes, l.exact, l.books, l.holds, l.partitions = map[string]*bill{}, 0, 0, nil, nil, nil
}

// broken notes a broken promise.
func (l *ledger) broken(invariant onsale.Invariant, subject, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, onsale.Violation{Invariant: invariant, Subject: subject,
		Detail: "house " + l.plan.name + ": " + fmt.Sprintf(format, args...)})
}

// idle is what a tier's processes together spend when nothing happens, in cores.
func (l *ledger) idle(tier string) float64 {
	b := l.steps[stepRest]
	if b == nil || b.took == 0 {
		return 0
	}
	return sumOf(b.spent[tier]).Seconds() / b.took.Seconds()
}

// cost is the CPU time, in µs, that all processes of a tier together have spent on one operation
// of a step, without what they spend when nothing happens.
func (l *ledger) cost(tier, step string) float64 {
	b := l.steps[step]
	if b == nil || b.ops == 0 {
		return 0
	}
	return max(0, sumOf(b.spent[tier]).Seconds()-l.idle(tier)*b.took.Seconds()) * 1e6 / float64(b.ops)
}

func sumOf(each []time.Duration) (sum time.Duration) {
	for _, used := range each {
		sum += used
	}
	return sum
}

// counted is what each process has counted over the given steps.
func (l *ledger) counted(name string, of ...string) (each []float64) {
	for _, step := range of {
		if b := l.steps[step]; b != nil {
			each = addUp(each, b.counts[name])
		}
	}
	return each
}
