// Package fleet runs one command in several processes behind one port, and keeps
// them running.
//
// The promise: whatever becomes of one process, no connection is refused and the others
// don't notice. So the sockets are the supervisor's, which does nothing that could fail;
// each process inherits its slot's and accepts from it. A process that is replaced
// serves on until the next one is ready, and both accept from the same queue meanwhile.
//
//	a process dies                   its slot's queue waits for the next one, which is started at once,
//	                                 or ever later if it doesn't live for long
//	one dies at once, ever again     the fleet ends, with its exit code
//	the next one doesn't get ready   the one that was to be replaced stays
//	the supervisor is told to end    every process is told to, and killed if it takes too long
//	the supervisor is killed         every process is told to end by the kernel (internal/leash)
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"
)

// The bounds of a process's life. A fleet ends within 30 s of being told to.
const (
	defaultStartWithin = 2 * time.Minute
	defaultStopWithin  = 27 * time.Second
	defaultSettled     = 10 * time.Second
	defaultFailures    = 10
	defaultPause       = 100 * time.Millisecond
	pauseMax           = 10 * time.Second
	mostDoublings      = 20 // of a pause: no shift overflows
)

// Config says what a fleet runs. Command and Port are required; Port, and Own if it is
// given, have a socket for each slot.
type Config struct {
	Processes int
	// Command returns what a slot's process is to run. It finds its place by Join.
	Command func(slot int) *exec.Cmd
	Port    *Port            // shared by all
	Own     *Port            // a port for each besides; may be nil
	Roll    <-chan os.Signal // each replaces all processes, one by one

	StartWithin time.Duration // until a process must be ready; default 2 m
	StopWithin  time.Duration // from SIGTERM to SIGKILL; default 27 s
	Settled     time.Duration // one that has lived for this long didn't die at once; default 10 s
	Failures    int           // so many in a row that died at once end the fleet; default 10
	Pause       time.Duration // before the second start in a row, doubled for each further one, up to 10 s; default 100 ms
	Log         *slog.Logger  // default: slog.Default()
}

func (c *Config) setDefaults() {
	c.StartWithin = cmp.Or(c.StartWithin, defaultStartWithin)
	c.StopWithin = cmp.Or(c.StopWithin, defaultStopWithin)
	c.Settled = cmp.Or(c.Settled, defaultSettled)
	c.Failures = cmp.Or(c.Failures, defaultFailures)
	c.Pause = cmp.Or(c.Pause, defaultPause)
	c.Log = cmp.Or(c.Log, slog.Default())
}

// Run starts the processes, the first one alone, since what is wrong is wrong for all;
// calls ready when all of them serve; keeps them running until ctx ends; and returns
// when all have ended: nil if they did so well. The error of one that ended the fleet is
// an *Ended.
func Run(ctx context.Context, cfg Config, ready func()) error {
	cfg.setDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		running sync.WaitGroup
		errs    = make([]error, cfg.Processes+1) // by slot, each its goroutine's; the last is ours
		slots   = make([]*slot, cfg.Processes)
		started = make(chan struct{}, cfg.Processes)
	)
	for i := range slots {
		s := &slot{fleet: &cfg, number: i, replace: make(chan chan<- error)}
		slots[i] = s
		running.Go(func() {
			defer cancel() // one that ends ends all
			errs[i] = s.keep(ctx, func() { started <- struct{}{} })
		})
		if i == 0 && !received(ctx, started, 1) {
			break
		}
	}
	if received(ctx, started, cfg.Processes-1) {
		ready()
		cfg.rollOnSignal(ctx, slots)
	}
	cancel()
	running.Wait()
	return errors.Join(errs...)
}

// received waits for n tokens; it returns false if ctx ends before.
func received(ctx context.Context, tokens <-chan struct{}, n int) bool {
	for range n {
		select {
		case <-tokens:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// rollOnSignal replaces all processes whenever it is signalled, until ctx ends.
func (c *Config) rollOnSignal(ctx context.Context, slots []*slot) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.Roll:
		}
		c.Log.Info("replacing every process, one by one", "processes", len(slots))
		if err := roll(ctx, slots); err != nil {
			c.Log.Error("not every process was replaced; those that were not serve on", "error", err)
		} else if ctx.Err() == nil {
			c.Log.Info("every process was replaced", "processes", len(slots))
		}
	}
}

// roll replaces the processes one after the other, until one can't be.
func roll(ctx context.Context, slots []*slot) error {
	for _, s := range slots {
		answer := make(chan error, 1)
		select {
		case s.replace <- answer:
		case <-ctx.Done():
			return nil
		}
		if err := <-answer; err != nil { // every request is answered
			return fmt.Errorf("replace process %d: %w", s.number+1, err)
		}
	}
	return nil
}
