package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"onsale"
	"onsale/internal/leash"
)

const (
	// workerNice is how much a worker of ours gives way to the servers beside it. What it sends late for that
	// counts as the servers' latency, and a run with much of it is void.
	workerNice = 5
	// workerMemory is what a worker of ours may have before it collects garbage. With 18,750 people in it, who have
	// a stack each, that takes long: a quarter of a storm's processors, when it was done often, and seconds in which nobody
	// presses, when it was done once. A storm of a minute was seen to need 850 MiB.
	workerMemory = "1536MiB"
	// clockRounds is how often a clock is asked for. The quickest answer is the truest.
	clockRounds = 8
	// clockPatience is how long all of that may take.
	clockPatience = time.Minute
)

// crew is the workers of a storm. A nil crew has nobody, and nothing to do.
type crew struct {
	hands     []*hand
	processes []*workerProcess
	leaving   atomic.Bool     // they may end
	stopped   context.Context // ends with the first worker that fails, with why
	stop      context.CancelCauseFunc
}

// hand is a worker as the coordinator knows it. One goroutine reads what it says.
type hand struct {
	conn   net.Conn
	out    *json.Encoder
	in     *hearing
	room   int
	offset time.Duration // how much its clock is ahead of ours
	done   chan tidings  // the end of the duty under way
	ended  chan struct{} // closed when it is read no more
}

// workerProcess is a worker on this machine.
type workerProcess struct {
	command *exec.Cmd
	ended   chan struct{} // closed
}

func newCrew() *crew {
	c := &crew{}
	c.stopped, c.stop = context.WithCancelCause(context.Background())
	return c
}

// with returns a context that ends when the crew is stopped, too.
func (c *crew) with(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(c.stopped, func() { cancel(context.Cause(c.stopped)) })
	return ctx, func(why error) {
		unlink()
		cancel(why)
	}
}

// muster starts the workers of this machine, waits for those of others, and compares their clocks.
func muster(ctx context.Context, r *rush) (c *crew, err error) {
	cfg := r.cfg.Storm
	c = newCrew()
	defer func() {
		if err != nil {
			err = errors.Join(err, c.leave(ctx))
		}
	}()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Token == "" {
		cfg.Token = rand.Text()
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return c, fmt.Errorf("listening for workers: %w", err)
	}
	defer func() { _ = listener.Close() }() // who is to come has come
	for range cfg.Workers {
		command, err := workerProcessFor(listener.Addr().String(), cfg.Token)
		if err == nil {
			err = c.start(command)
		}
		if err != nil {
			return c, err
		}
	}
	if err := c.gather(ctx, listener, cfg.Token, cfg.Workers+cfg.Await, r); err != nil {
		return c, err
	}
	for i, h := range c.hands {
		if need := (share{i, len(c.hands)}).size(r.cfg.Users); need > h.room {
			return c, wrong("users: %d for each of %d workers, one of which may open %d feeds: raise its ulimit -n, or ask for more workers", need, len(c.hands), h.room)
		}
	}
	return c, c.compareClocks(ctx)
}

// workerProcessFor is this very binary as a worker.
func workerProcessFor(address, token string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the onsale binary: %w", err)
	}
	command := Nice(workerNice, self, "bench", "worker", "--join", address)
	// A worker has one processor, and collects garbage only when it must: more would only be taken from the server. Its
	// token is not for a command line, which all may read.
	command.Env = append(withoutSettings(os.Environ()), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT="+workerMemory, "GODEBUG=gcshrinkstackoff=1", workerTokenVar+"="+token, workerNearVar+"=1")
	command.Stderr = os.Stderr
	return command, nil
}

// start starts a worker. One that ends before it may stops the crew: else nobody would know of it who has not joined.
func (c *crew) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ended, err := leash.Start(command, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	p := &workerProcess{command: command, ended: make(chan struct{})}
	c.processes = append(c.processes, p)
	go func() { // ends with the process, and leave waits for it
		defer close(p.ended)
		<-ended //nolint:errcheck // what it was is in its state
		if !c.leaving.Load() {
			c.stop(fmt.Errorf("%w: %v", errNoWorker, command.ProcessState))
		}
	}()
	return nil
}

// listen takes over what a worker says until its connection ends, which stops the crew.
func (c *crew) listen(h *hand, r *rush) {
	defer close(h.ended)
	for {
		var t tidings
		err := errors.Join(h.conn.SetReadDeadline(time.Now().Add(wordPatience)), h.in.next(&t, maxTidings))
		if err == nil && t.Account != nil {
			err = r.m.add(*t.Account)
		}
		if err != nil {
			c.stop(fmt.Errorf("%w: %w", errNoWorker, err))
			return
		}
		if t.Found != nil { // now, for the worker may die before it hands its ledger on
			r.ledger.inherit(t.Found, 0)
		}
		for _, text := range t.Troubles {
			r.trouble(errors.New(text))
		}
		if t.Done != "" {
			h.done <- t
		}
		if t.Done == dutyLeave { // its connection's end says nothing of the others, who may still be leaving
			return
		}
	}
}

// ask has every worker do its duty at once, and returns their answers in order. The first that
// fails ends it.
func (c *crew) ask(ctx context.Context, each func(i int) duty) ([]tidings, error) {
	answers, errs := make([]tidings, len(c.hands)), make([]error, len(c.hands))
	ctx, cancel := c.with(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i, h := range c.hands {
		all.Go(func() {
			if answers[i], errs[i] = h.do(ctx, each(i)); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil { // the others' errors are that they were told to stop
		c.stop(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
	return answers, errors.Join(errs...)
}

// do has one worker do its duty. One that silently does nothing ends the wait with its connection:
// see listen.
func (h *hand) do(ctx context.Context, d duty) (tidings, error) {
	err := errors.Join(h.conn.SetWriteDeadline(time.Now().Add(wordPatience)), h.out.Encode(d))
	if err != nil {
		return tidings{}, fmt.Errorf("%w: asking it: %w", errNoWorker, err)
	}
	select {
	case t := <-h.done:
		if t.Done != d.Do {
			return t, fmt.Errorf("a worker was asked to %s, and has done %s", d.Do, t.Done)
		}
		if t.Error != "" {
			return t, fmt.Errorf("%w: it can't %s: %s", errNoWorker, d.Do, t.Error)
		}
		return t, nil
	case <-ctx.Done():
		return tidings{}, context.Cause(ctx)
	}
}

// compareClocks finds out by how much each worker's clock is ahead of ours. What it said was true
// between our asking and its answer; the shortest such time leaves the least doubt.
func (c *crew) compareClocks(ctx context.Context) error {
	ctx, cancel := c.with(ctx)
	defer cancel(nil)
	ctx, late := context.WithTimeoutCause(ctx, clockPatience, errors.New("it takes too long to compare the workers' clocks"))
	defer late()
	best := make([]time.Duration, len(c.hands))
	for range clockRounds {
		for i, h := range c.hands { // one at a time: they share the machine
			asked := time.Now()
			t, err := h.do(ctx, duty{Do: dutyClock})
			if err != nil {
				return err
			}
			took := time.Since(asked)
			if best[i] == 0 || took < best[i] {
				best[i], h.offset = took, t.Clock.Sub(asked.Add(took/2))
			}
		}
	}
	return nil
}

// clock is a moment by the worker's clock.
func (h *hand) clock(at time.Time) time.Time { return at.Add(h.offset) }

// checkFeeds has every worker compare its feeds, and takes over what they found.
func (c *crew) checkFeeds(ctx context.Context, into *ledger) error {
	if c == nil {
		return nil
	}
	found, err := c.ask(ctx, func(int) duty { return duty{Do: dutyFeeds} })
	for i, t := range found {
		into.inherit(t.Ledger, c.hands[i].offset)
	}
	return err
}

// leave tells every worker to end, and waits until all have.
func (c *crew) leave(ctx context.Context) error {
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), onsale.StopTimeout)
	defer cancel()
	c.leaving.Store(true)
	var err error
	if c.stopped.Err() == nil { // else what went wrong was said, and the workers end with their connections
		_, err = c.ask(ctx, func(int) duty { return duty{Do: dutyLeave} })
	}
	for _, h := range c.hands {
		_ = h.conn.Close() // all has been said
		<-h.ended
	}
	for _, p := range c.processes {
		kill := context.AfterFunc(ctx, func() { _ = p.command.Process.Kill() }) // it may have ended just now
		<-p.ended                                                               // how is no news: it keeps nothing
		kill()
	}
	c.stop(nil)
	return err
}
