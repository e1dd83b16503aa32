package fleet

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// crowd asks without end, each question on a connection of its own.
type crowd struct {
	answered atomic.Int64
	stop     context.CancelFunc
	asking   sync.WaitGroup

	mu     sync.Mutex
	failed []error      // under mu
	seen   map[int]bool // under mu: pids that answered
}

func newCrowd(t *testing.T, url string) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{stop: cancel, seen: map[int]bool{}}
	for range 8 {
		c.asking.Go(func() {
			for ctx.Err() == nil {
				_, pid, err := who(url)
				c.mu.Lock()
				if err != nil {
					c.failed = append(c.failed, err)
				} else {
					c.seen[pid] = true
				}
				c.mu.Unlock()
				c.answered.Add(1)
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

// more waits until the crowd has been answered some more times.
func (c *crowd) more(t *testing.T) {
	t.Helper()
	from := c.answered.Load()
	eventually(t, "the crowd is answered", func() bool { return c.answered.Load() > from+100 })
}

func (c *crowd) end() {
	c.stop()
	c.asking.Wait()
}

func TestEveryProcessHasItsShareOfOnePort(t *testing.T) {
	t.Parallel()
	r := run(t, Config{Processes: 3})
	c := newCrowd(t, r.url)
	pids := r.pids(t)
	eventually(t, "each answers", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.seen) == 3
	})
	c.end()
	for _, pid := range pids {
		if !c.seen[pid] {
			t.Errorf("%d never answered; those who did: %v", pid, c.seen)
		}
	}
	if _, err := Listen(t.Context(), strings.TrimPrefix(r.url, "http://"), 2); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second fleet on the same port: %v", err)
	}
	r.stop()
	<-r.ended
	if r.err != nil {
		t.Errorf("a fleet that was told to end: %v", r.err)
	}
}

func TestAKilledProcessIsReplacedAndNobodyElseNotices(t *testing.T) {
	t.Parallel()
	r := run(t, Config{Processes: 3})
	before := r.pids(t)
	c := newCrowd(t, r.url)
	c.more(t)
	if err := syscall.Kill(before[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second slot has another process", func() bool {
		_, pid, err := who(r.own.URL(1))
		return err == nil && pid != before[1]
	})
	c.more(t)
	c.end()
	if after := r.pids(t); after[0] != before[0] || after[2] != before[2] {
		t.Errorf("the others were replaced too: %v, then %v", before, after)
	}
	for _, err := range c.failed { // what the dead had in hand died with it
		if errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a connection was refused: %v", err)
		}
	}
	if n := len(c.failed); n > 8 {
		t.Errorf("%d requests failed; the dead process can't have had more than 8: %v", n, c.failed[0])
	}
}

func TestReplacingEveryProcessLosesNoRequest(t *testing.T) {
	t.Parallel()
	r := run(t, Config{Processes: 3})
	before := r.pids(t)
	c := newCrowd(t, r.url)
	for range 2 {
		said := strings.Count(r.log.text(), "every process was replaced")
		c.more(t)
		r.roll <- syscall.SIGHUP
		eventually(t, "all are replaced", func() bool { return strings.Count(r.log.text(), "every process was replaced") > said })
	}
	c.more(t)
	c.end()
	if len(c.failed) > 0 {
		t.Errorf("%d of %d requests failed: %v", len(c.failed), c.answered.Load(), c.failed[0])
	}
	for _, pid := range r.pids(t) {
		if slices.Contains(before, pid) {
			t.Errorf("%d was not replaced", pid)
		}
	}
	if len(c.seen) < 6 {
		t.Errorf("%d processes answered in two replacements of 3", len(c.seen))
	}
}

func TestASuccessorThatCantServeLeavesTheOldOne(t *testing.T) {
	t.Parallel()
	breaks := filepath.Join(t.TempDir(), "breaks")
	r := run(t, Config{Processes: 2, Command: acting(serving, breakingFile+"="+breaks)})
	before := r.pids(t)
	if err := os.WriteFile(breaks, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.roll <- syscall.SIGHUP
	eventually(t, "it is given up", func() bool { return strings.Contains(r.log.text(), "not every process was replaced") })
	if after := r.pids(t); !slices.Equal(before, after) {
		t.Errorf("%v, then %v", before, after)
	}
	if !strings.Contains(r.log.text(), "process 1 exited with 5 before it served") {
		t.Error(r.log.text())
	}
}

func TestWhatCantServeEndsTheFleetAtOnceWithItsCode(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	r := launch(t, Config{Processes: 3, Command: func(slot int) *exec.Cmd { begun.Add(1); return acting(broken)(slot) }})
	<-r.ended
	var ended *Ended
	if !errors.As(r.err, &ended) || ended.Code != 5 || !ended.First || begun.Load() != 1 {
		t.Errorf("after %d starts: %v", begun.Load(), r.err)
	}
}

func TestWhatDiesAtOnceAgainAndAgainEndsTheFleetWithItsCode(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	r := launch(t, Config{Processes: 1, Failures: 3, Pause: time.Millisecond, Settled: time.Hour,
		Command: func(slot int) *exec.Cmd { begun.Add(1); return acting(dying)(slot) }})
	<-r.ended
	var ended *Ended
	if !errors.As(r.err, &ended) || ended.Code != 7 || ended.First || begun.Load() != 4 {
		t.Errorf("after %d starts: %v", begun.Load(), r.err)
	}
}

func TestOneThatHasLivedForLongIsStartedAgainForEver(t *testing.T) {
	t.Parallel()
	r := run(t, Config{Processes: 1, Failures: 1, Settled: time.Nanosecond})
	for range 3 {
		dead := r.pids(t)[0]
		if err := syscall.Kill(dead, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another one answers", func() bool {
			_, pid, err := who(r.url)
			return err == nil && pid != dead
		})
	}
}

func TestOneThatWontEndIsKilledAndSaid(t *testing.T) {
	t.Parallel()
	r := run(t, Config{Processes: 2, Command: acting(stubborn), StopWithin: 50 * time.Millisecond})
	r.stop()
	<-r.ended
	var ended *Ended
	if !errors.As(r.err, &ended) || ended.Signal != syscall.SIGKILL {
		t.Error(r.err)
	}
}

func TestProcessesEndWithTheSupervisorThatIsKilled(t *testing.T) {
	t.Parallel()
	supervisor := acting(supervising)(0)
	out, err := supervisor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = supervisor.Process.Kill() // it has ended
		_ = supervisor.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(line)
	if _, _, err := who(url); err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody listens any more", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
