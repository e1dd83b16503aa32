package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"onsale/internal/cable"
	"onsale/internal/crashpoint"
)

const (
	// reachWithin is how long a crash point may take to be reached, once its process is
	// armed: longer than a consumer group takes to do without a member that was killed, and
	// a breaker that a fault of payments has opened takes to let charges through again.
	reachWithin = 2 * time.Minute
	// backWithin is how long what was hit may take until it serves again.
	backWithin = 2 * time.Minute
	// crowdSize is how many join in a throng.
	crowdSize = 2
)

// strike has a fault happen, and everything be as before when it returns. An error
// means that it didn't happen as planned, or that its target didn't come back.
func (h *house) strike(ctx context.Context, f Fault) error {
	if p := h.roles[f.Target]; p != nil {
		if text := p.endedByItself(); text != "" {
			return errors.New(text) // heal starts it again, and tells
		}
	}
	switch f.Kind {
	case Kill:
		return h.kill(ctx, f)
	case Restart:
		p := h.roles[f.Target]
		if err := p.stop(); err != nil {
			return err
		}
		return h.back(ctx, p)
	case Pause:
		return h.freeze(ctx, f)
	case Cut:
		lift := h.wiring.impose(f.Target, cable.Weather{Out: true})
		defer lift()
		pause(ctx, f.Lasting)
		return ctx.Err()
	case Delay, Overtime:
		lift := h.wiring.impose(f.Target, cable.Weather{Delay: f.By})
		defer lift()
		pause(ctx, f.Lasting)
		return ctx.Err()
	case Wipe:
		return h.flush(ctx, "FLUSHALL")
	case Forget:
		return h.flush(ctx, "SCRIPT", "FLUSH")
	case Throng:
		return h.throng(ctx, f)
	case Crash:
		return h.crash(ctx, f)
	}
	return fmt.Errorf("there is no fault %q", f.Kind)
}

// back starts a process until it serves.
func (h *house) back(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	return p.keepStarting(ctx)
}

// kill kills a process as kill -9 does, and starts it again after a while.
func (h *house) kill(ctx context.Context, f Fault) error {
	switch f.Target {
	case Redis:
		return killStore(ctx, f, h.redis)
	case Postgres:
		return killStore(ctx, f, h.postgres)
	}
	p := h.roles[f.Target]
	if err := p.kill(); err != nil {
		return err
	}
	pause(ctx, f.Lasting)
	return h.back(ctx, p)
}

// store is a private server.
type store interface {
	Start(ctx context.Context) error
	PID() int
	Exited() <-chan error
}

func killStore(ctx context.Context, f Fault, s store) error {
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", f.Target, err)
	}
	select {
	case <-s.Exited(): //nolint:errcheck // as it was meant to
	case <-ctx.Done():
		return ctx.Err()
	}
	pause(ctx, f.Lasting)
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	return s.Start(ctx)
}

// freeze stops a process without ending it, and lets it go on after a while. Postgres
// is a family of processes: all are stopped but the first, which would start new ones and
// must hear of our own end; nobody new gets through to it.
func (h *house) freeze(ctx context.Context, f Fault) error {
	var pids []int
	switch f.Target {
	case Redis:
		pids = []int{h.redis.PID()}
	case Postgres:
		defer h.wiring.impose(Postgres, cable.Weather{Blocked: true})()
		var err error
		if pids, err = childrenOf(h.postgres.PID()); err != nil {
			return err
		}
	default:
		pids = []int{h.roles[f.Target].now.pid}
	}
	stopped := 0
	for _, pid := range pids {
		if syscall.Kill(pid, syscall.SIGSTOP) == nil { // one of Postgres's may have ended just now
			stopped++
			defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }() // as above
		}
	}
	if stopped == 0 {
		return fmt.Errorf("%s has no process to pause", f.Target)
	}
	pause(ctx, f.Lasting)
	return ctx.Err()
}

// childrenOf are the processes that a process has started, as Linux tells them.
func childrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("find the processes of Postgres: %w", err)
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("find the processes of Postgres: %w", err)
		}
		pids = append(pids, child)
	}
	return pids, nil
}

// throng has more settling processes join the consumer groups, one after the other,
// and leave them: the first in good order, the others by kill -9.
func (h *house) throng(ctx context.Context, f Fault) error {
	env, err := h.settings(f.Target)
	if err != nil {
		return err
	}
	var crowd []*process
	defer func() {
		for _, p := range crowd {
			_ = p.stop() // it is gone, unless something went wrong
		}
	}()
	for n := range crowdSize {
		p := h.self(fmt.Sprintf("%s-%d", f.Target, n+2), env, "settle", "--listen", anyPort)
		crowd = append(crowd, p)
		if err := h.back(ctx, p); err != nil {
			return err
		}
		pause(ctx, f.Lasting/crowdSize)
	}
	err = crowd[0].stop()
	for _, p := range crowd[1:] {
		pause(ctx, f.Lasting/crowdSize)
		err = errors.Join(err, p.kill())
	}
	return err
}

// crash starts a process that is to die at a point, and waits until it does.
func (h *house) crash(ctx context.Context, f Fault) error {
	p := h.roles[f.Target]
	if err := p.stop(); err != nil {
		return err
	}
	arm := fmt.Sprintf("%s=%s@%d", crashpoint.Variable, f.Point, f.Nth)
	if err := h.startArmed(ctx, p, arm); err != nil {
		return err
	}
	p.expectEnd()
	select {
	case <-p.now.ended:
	case <-time.After(reachWithin):
	case <-ctx.Done():
		return ctx.Err()
	}
	err := p.stop()
	reached := p.now.diedAt() == f.Point
	err = errors.Join(err, h.back(ctx, p))
	if err == nil && !reached {
		err = fmt.Errorf("%s was not reached within %v", f.Point, reachWithin)
	}
	return err
}

// startArmed starts a process with a crash point armed. It may be so quick to die there
// that it never serves.
func (h *house) startArmed(ctx context.Context, p *process, arm string) error {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	for {
		err := p.start(ctx, arm)
		if err == nil || p.now.diedAt() != "" {
			return nil
		}
		if !pause(ctx, startAgain) {
			return err
		}
	}
}
