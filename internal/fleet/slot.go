package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// slot is a place for one process, and two while one replaces the other. Everything
// is owned by the goroutine that runs keep.
type slot struct {
	fleet   *Config
	number  int
	replace chan chan<- error // requests, each answered once when the old process has ended

	failures int            // processes in a row that didn't live until they had settled
	leaving  sync.WaitGroup // old processes that are being ended
}

var errNotReady = errors.New("it did not get ready in time")

// keep keeps a process in the slot until ctx ends, or until it can't, which is an
// *Ended. It calls started once, when the first one serves.
func (s *slot) keep(ctx context.Context, started func()) error {
	defer s.leaving.Wait()
	p, err := s.begin(ctx)
	if ended := (*Ended)(nil); errors.As(err, &ended) {
		ended.First = true
	}
	if err != nil || p == nil {
		return err
	}
	started()
	for {
		select {
		case <-ctx.Done():
			return p.end(s.fleet.StopWithin)
		case <-p.ended:
			if p, err = s.again(ctx, p); err != nil || p == nil {
				return err
			}
		case answer := <-s.replace:
			p = s.succeed(ctx, p, answer)
		}
	}
}

// begin starts a process and returns it when it serves. It returns nil without an
// error if ctx ends meanwhile.
func (s *slot) begin(ctx context.Context) (*process, error) {
	c := s.fleet
	inherited := []*os.File{c.Port.sockets[s.number]}
	if c.Own != nil {
		inherited = append(inherited, c.Own.sockets[s.number])
	}
	place := fmt.Sprintf("%d/%d/%t", s.number, c.Processes, c.Own != nil)
	p, err := begin(s.number, c.Command(s.number), place, inherited)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(c.StartWithin)
	defer late.Stop()
	select {
	case ready := <-p.ready:
		if ready {
			c.Log.Debug("a process serves", "process", s.number+1, "pid", p.cmd.Process.Pid)
			return p, nil
		}
		<-p.ended
		return nil, p.howEnded("before it served")
	case <-ctx.Done():
		_ = p.end(c.StopWithin) // that it couldn't start is what was asked for
		return nil, nil
	case <-late.C:
		return nil, errors.Join(fmt.Errorf("start process %d: %w", s.number+1, errNotReady), p.end(c.StopWithin))
	}
}

// again starts the successor of a process that has ended by itself, ever later if those
// before didn't live for long, and gives up when too many didn't. It returns nil without
// an error if ctx ends meanwhile.
func (s *slot) again(ctx context.Context, dead *process) (*process, error) {
	c := s.fleet
	if time.Since(dead.since) >= c.Settled {
		s.failures = 0
	}
	var err error = dead.howEnded("by itself")
	for {
		if s.failures++; s.failures > c.Failures {
			return nil, fmt.Errorf("given up after %d processes that ended at once: %w", c.Failures, err)
		}
		pause := time.Duration(0)
		if s.failures > 1 {
			pause = min(c.Pause<<min(s.failures-2, mostDoublings), pauseMax)
		}
		c.Log.Error("a process has ended; it is started again", "process", s.number+1, "how", err, "after", pause)
		if !wait(ctx, pause) {
			return nil, nil
		}
		var p *process
		if p, err = s.begin(ctx); err == nil {
			return p, nil // nil if ctx has ended
		}
	}
}

// succeed starts the successor of a process that serves and, once it is ready, ends the
// old one beside it. It returns the one that stays.
func (s *slot) succeed(ctx context.Context, old *process, answer chan<- error) *process {
	next, err := s.begin(ctx)
	if err != nil || next == nil {
		answer <- err
		return old
	}
	s.leaving.Go(func() {
		err := old.end(s.fleet.StopWithin)
		if err == nil {
			s.fleet.Log.Info("a process was replaced", "process", s.number+1)
		}
		answer <- err
	})
	return next
}

// wait returns false if ctx ends within the time.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
