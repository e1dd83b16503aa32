package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// happened is a fault of the schedule and what came of it.
type happened struct {
	Fault
	FiredAt time.Duration `json:"fired_at"`         // since the first buyer could arrive, in nanoseconds
	Over    time.Duration `json:"over_at"`          // when all was as before
	Failed  string        `json:"failed,omitempty"` // why it didn't happen as planned
}

// lanes carry a schedule out. Each target has a lane of its own, whose faults come one
// after the other: what is paused can't be killed. Faults of different targets overlap as
// they are planned to.
type lanes struct {
	house  *house
	opened time.Time
	firing func(Fault) // told before a fault happens; calls may overlap
	all    sync.WaitGroup
	left   atomic.Int64 // faults that are not over

	mu   sync.Mutex
	done []happened // under mu
}

// begin starts to carry out a schedule that counts from now.
func (h *house) begin(ctx context.Context, plan []Fault, firing func(Fault)) *lanes {
	l := &lanes{house: h, opened: time.Now(), firing: firing}
	l.left.Store(int64(len(plan)))
	for _, target := range targets {
		lane := slices.DeleteFunc(slices.Clone(plan), func(f Fault) bool { return f.Target != target })
		if len(lane) > 0 {
			l.all.Go(func() { l.run(ctx, lane) })
		}
	}
	return l
}

func (l *lanes) run(ctx context.Context, lane []Fault) {
	for _, f := range lane {
		if !pause(ctx, time.Until(l.opened.Add(f.At))) {
			return
		}
		l.firing(f)
		was := happened{Fault: f, FiredAt: time.Since(l.opened)}
		if err := l.house.strike(ctx, f); err != nil {
			was.Failed = err.Error()
		}
		was.Over = time.Since(l.opened)
		l.left.Add(-1)
		l.mu.Lock()
		l.done = append(l.done, was)
		l.mu.Unlock()
	}
}

// wait returns what happened, in the order of its beginning, when all of it is over.
func (l *lanes) wait() []happened {
	l.all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.done, func(a, b happened) int { return int(a.FiredAt - b.FiredAt) })
	return l.done
}

// unfired says which faults of a schedule did not happen as planned; "" if all did. A
// run that lacks one has not shown what it was made to show.
func unfired(plan []Fault, done []happened) string {
	for _, was := range done {
		if was.Failed != "" {
			return fmt.Sprintf("%s did not happen as planned: %s", was.Fault, was.Failed)
		}
	}
	if len(done) < len(plan) {
		return fmt.Sprintf("only %d of %d planned faults happened", len(done), len(plan))
	}
	return ""
}
