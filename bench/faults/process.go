package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"onsale/internal/crashpoint"
	"onsale/internal/leash"
)

const (
	// serveWithin is how long a process may take until it serves.
	serveWithin = 90 * time.Second
	// endWithin is how long a process may take to end when it is asked to, before it is
	// killed, as whoever runs it in earnest has it.
	endWithin = 30 * time.Second
	// startAgain is the pause before a process that could not start is started again,
	// as whoever runs it in earnest would have it.
	startAgain = 300 * time.Millisecond
)

// process is a program that can be started, killed, paused and started again. All that
// it says goes to its log. Its methods are called by one goroutine at a time.
type process struct {
	name    string
	program string
	args    []string
	env     []string
	log     string       // a file; each start adds to it
	serves  func(string) // told host:port when it serves; may be nil

	now *alive // nil unless it was started
}

// alive is one life of a process.
type alive struct {
	pid    int
	ended  chan struct{} // closed when it has been waited for, and all it said is in the log
	served chan string   // gets host:port once

	mu     sync.Mutex
	asked  bool             // under mu: we ended it
	last   string           // under mu: its last line
	died   crashpoint.Point // under mu: the crash point that it reached; "" if none
	state  *os.ProcessState
	saying sync.WaitGroup
}

// serving is how the programs say where they serve: onsale's roles in their log, its
// broker and Apache Kafka's script on standard output.
var serving = regexp.MustCompile(`(?:msg=serving .*url=|^serving |^ready )(?:http://)?([0-9.]+:\d+)`)

// start starts the process and returns when it serves, or says why it doesn't.
func (p *process) start(ctx context.Context, more ...string) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	said, saying, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), log.Close())
	}
	cmd := exec.Command(p.program, p.args...)
	cmd.Env = append(append(withoutSettings(os.Environ()), p.env...), more...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who then stop it
	cmd.Stdout, cmd.Stderr = saying, saying
	ended, err := leash.Start(cmd, syscall.SIGKILL)
	_ = saying.Close() // the process has its own
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), said.Close(), log.Close())
	}
	a := &alive{pid: cmd.Process.Pid, ended: make(chan struct{}), served: make(chan string, 1)}
	p.now = a
	a.saying.Go(func() { a.listen(said, log) })
	go func() { // ends with the process, whose end stop and kill wait for
		<-ended //nolint:errcheck // how is in its ProcessState
		a.saying.Wait()
		a.mu.Lock()
		a.state = cmd.ProcessState
		a.mu.Unlock()
		close(a.ended)
	}()
	return p.untilServed(ctx, a)
}

func (p *process) untilServed(ctx context.Context, a *alive) error {
	ctx, cancel := context.WithTimeout(ctx, serveWithin)
	defer cancel()
	select {
	case at := <-a.served:
		if p.serves != nil {
			p.serves(at)
		}
		return nil
	case <-a.ended:
		return fmt.Errorf("%s ended before it served: %s", p.name, a.lastLine())
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s does not serve: %w", p.name, ctx.Err()), p.kill())
	}
}

// listen keeps what the process says.
func (a *alive) listen(said io.ReadCloser, log io.WriteCloser) {
	defer said.Close()
	defer log.Close()
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := lines.Text()
		_, _ = fmt.Fprintln(log, text) // what a log lacks changes nothing
		a.mu.Lock()
		a.last = text
		if point, ok := crashpoint.Reached(text); ok {
			a.died = point
		}
		a.mu.Unlock()
		if m := serving.FindStringSubmatch(text); m != nil {
			select {
			case a.served <- m[1]:
			default: // it has said so before
			}
		}
	}
}

// diedAt is the crash point that the process died at, "" if it didn't. All that it said
// must have been heard.
func (a *alive) diedAt() crashpoint.Point {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.died
}

func (a *alive) lastLine() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// keepStarting starts the process until it serves: while a store is away, it may not.
func (p *process) keepStarting(ctx context.Context) error {
	for {
		err := p.start(ctx)
		if err == nil {
			return nil
		}
		if !pause(ctx, startAgain) {
			return err
		}
	}
}

func (p *process) signal(sig syscall.Signal) error {
	if p.now == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	select {
	case <-p.now.ended:
		return fmt.Errorf("%s has ended by itself: %s", p.name, p.now.lastLine())
	default:
	}
	if err := syscall.Kill(p.now.pid, sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// runOnce runs a program to its end, which must be a good one.
func (p *process) runOnce(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.program, p.args...)
	cmd.Env = append(withoutSettings(os.Environ()), p.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, err, out)
	}
	return nil
}

// kill ends the process as kill -9 does, and returns when it is gone.
func (p *process) kill() error {
	p.expectEnd()
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.now.ended
	return nil
}

// stop ends the process in good order, if it is quick. It may have ended.
func (p *process) stop() error {
	if p.now == nil {
		return nil
	}
	p.expectEnd()
	if p.signal(syscall.SIGTERM) != nil {
		return nil // it is gone
	}
	select {
	case <-p.now.ended:
		return nil
	case <-time.After(endWithin):
		return p.kill()
	}
}

func (p *process) expectEnd() {
	if p.now != nil {
		p.now.mu.Lock()
		p.now.asked = true
		p.now.mu.Unlock()
	}
}

// endedByItself says how the process ended if nobody asked it to; "" if it didn't.
func (p *process) endedByItself() string {
	if p.now == nil {
		return ""
	}
	select {
	case <-p.now.ended:
	default:
		return ""
	}
	p.now.mu.Lock()
	defer p.now.mu.Unlock()
	if p.now.asked {
		return ""
	}
	return fmt.Sprintf("%s ended by itself (%v): %s", p.name, p.now.state, p.now.last)
}

// withoutSettings is an environment without what is meant for another Onsale.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "ONSALE_") })
}

// through is a URL that leads through another host:port.
func through(address, hostport string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("a store's URL can't be read") // and may have a password in it
	}
	u.Host = hostport
	return u.String(), nil
}

// self is this very binary as a process of a role.
func (h *house) self(name string, env []string, args ...string) *process {
	return &process{name: name, program: h.binary, args: args, env: env, log: filepath.Join(h.folder, name+".log")}
}

// pause waits. It returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
