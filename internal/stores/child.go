package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"onsale/internal/leash"
)

// The bounds of a child's life.
const (
	startTimeout = 60 * time.Second      // until it answers; crash recovery of a big folder takes its time
	stopGrace    = 15 * time.Second      // between the polite signal and SIGKILL; below onsale.StopTimeout
	killWait     = 3 * time.Second       // between SIGKILL and giving up on a process that the kernel can't end
	probeEvery   = 20 * time.Millisecond // between two questions whether it answers
	probeTimeout = 2 * time.Second       // for one such question
)

// errPortInUse says that another process listens on the port.
var errPortInUse = errors.New("the port is in use: choose another one, or 0 for a free one")

// command is a program that is about to be a child.
type command struct {
	path    string
	args    []string
	folder  string         // its working directory: how a leftover is recognized
	log     string         // where its stdout and stderr go
	account *account       // whom it runs as; nil: as we do
	orphan  syscall.Signal // what it gets when we die
}

// child is a running process of ours. A server passes through three states: it
// starts, it serves, and it stops; only an end while it serves is unexpected.
type child struct {
	name   string
	pid    int
	log    *serverLog
	exited chan struct{} // closed when the process has been waited for
	failed chan<- error  // gets the unexpected end, unless an earlier one is still unread

	mu      sync.Mutex
	serving bool             // under mu
	state   *os.ProcessState // under mu; how it ended, nil until then
}

// start runs the command. An end while the child serves is sent to failed.
func (c command) start(name string, failed chan<- error) (*child, error) {
	log, err := openLog(c.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.file.Close() }() // the child has its own descriptor

	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.folder, log.file, log.file
	// Of our environment it gets what finds programs alone: PGPORT and the like
	// must not reach it, and its messages are to be in English for advise.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.account.credential()}

	ended, err := leash.Start(cmd, c.orphan)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.path, err)
	}
	ch := &child{name: name, log: log, pid: cmd.Process.Pid, exited: make(chan struct{}), failed: failed}
	go ch.watch(cmd, ended)
	return ch, nil
}

// watch notes how the process ended, and tells whoever wants to know if it ended
// while it served.
func (c *child) watch(cmd *exec.Cmd, ended <-chan error) {
	<-ended //nolint:errcheck // how is in its ProcessState
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = cmd.ProcessState
	close(c.exited)
	if !c.serving {
		return
	}
	select {
	case c.failed <- fmt.Errorf("%s ended by itself (%s): %s", c.name, cmd.ProcessState, c.log.explain()):
	default:
	}
}

// ready waits until probe succeeds, and then counts the child as serving. If
// that doesn't come true the child is killed and the error says why.
func (c *child) ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	last := errors.New("it was not asked yet")
	for {
		select {
		case <-c.exited:
			return fmt.Errorf("%s did not start: %w", c.name, c.log.cause())
		case <-ctx.Done():
			return errors.Join(
				fmt.Errorf("%s did not answer in time: %w (%s)", c.name, last, c.log.explain()),
				c.kill())
		case <-tick.C:
		}
		once, cancelOnce := context.WithTimeout(ctx, probeTimeout)
		last = probe(once)
		cancelOnce()
		if last == nil && c.serve() {
			return nil
		}
	}
}

// runs reports whether the process has not ended. There may be none.
func (c *child) runs() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// serve counts the child as serving, unless it has ended already.
func (c *child) serve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = c.runs()
	return c.serving
}

// finish waits for a child that ends by itself when its work is done.
func (c *child) finish(ctx context.Context) error {
	select {
	case <-c.exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s is not done: %w", c.name, ctx.Err()), c.kill())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.Success() {
		return fmt.Errorf("%s failed (%s): %w", c.name, c.state, c.log.cause())
	}
	return nil
}

// stop asks the child to end, and kills it if it hasn't within stopGrace or
// before ctx ends. It returns when the process has been waited for.
func (c *child) stop(ctx context.Context, polite syscall.Signal) error {
	c.mu.Lock()
	c.serving = false
	c.mu.Unlock()

	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	if err := c.signal(polite); err != nil {
		return err
	}
	select {
	case <-c.exited:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	return errors.Join(fmt.Errorf("%s did not stop when asked to and was killed", c.name), c.kill())
}

// kill ends the process at once and waits until it is gone.
func (c *child) kill() error {
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	gone := time.NewTimer(killWait)
	defer gone.Stop()
	select {
	case <-c.exited:
		return nil
	case <-gone.C:
		return fmt.Errorf("%s (process %d) can't be ended: is its disk answering?", c.name, c.pid)
	}
}

// signal sends sig unless the process has been waited for: its number may then
// be someone else's.
func (c *child) signal(sig syscall.Signal) error {
	if !c.runs() {
		return nil
	}
	if err := syscall.Kill(c.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s (process %d): %w", c.name, c.pid, err)
	}
	return nil
}
