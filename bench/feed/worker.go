package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"onsale/bench"
	"onsale/internal/leash"
)

const (
	// endWithin is how long a worker may take to end when its input does, before it is killed.
	endWithin = 2 * time.Second
	// answerBytes is the longest answer of a worker: two encoded histograms and a frame.
	answerBytes = 4 << 20
)

// worker is this very binary as a process that does tasks: a crowd or a floor. It ends when
// its input does, and never outlives us.
type worker struct {
	name  string
	pid   int
	tasks io.WriteCloser
	kill  func() error
	ended <-chan error

	mu      sync.Mutex // held while a task is under way
	answers *bufio.Scanner
}

func startWorker(kind string, status io.Writer) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the onsale binary: %w", err)
	}
	command := bench.Nice(bench.CrowdNice, self, "bench", "feed-worker", kind)
	command.Env = append(os.Environ(), "GOMAXPROCS=1") // its loop has one goroutine, and the processors are for the feed
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Stderr = status
	tasks, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a %s: %w", kind, err)
	}
	answers, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a %s: %w", kind, err)
	}
	w := &worker{name: kind, tasks: tasks, answers: bufio.NewScanner(answers)}
	w.answers.Buffer(nil, answerBytes)
	if w.ended, err = leash.Start(command, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("start a %s: %w", kind, err)
	}
	w.kill, w.pid = command.Process.Kill, command.Process.Pid
	return w, nil
}

// ask has the worker do a task, and returns its answer. When ctx ends first the worker is
// of no more use.
func (w *worker) ask(ctx context.Context, t task) (o outcome, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = w.kill() })() // it may have ended just now
	line, err := json.Marshal(t)
	if err != nil {
		return o, fmt.Errorf("write a task: %w", err)
	}
	if _, err := w.tasks.Write(append(line, '\n')); err != nil {
		return o, errors.Join(ctx.Err(), fmt.Errorf("ask a %s to %s: %w", w.name, t.Do, err))
	}
	if !w.answers.Scan() {
		return o, errors.Join(ctx.Err(), fmt.Errorf("a %s has no answer to %s: %w", w.name, t.Do, errors.Join(w.answers.Err(), io.ErrUnexpectedEOF)))
	}
	if err := json.Unmarshal(w.answers.Bytes(), &o); err != nil {
		return o, fmt.Errorf("read the answer of a %s to %s: %w", w.name, t.Do, err)
	}
	if o.Error != "" {
		return o, fmt.Errorf("a %s can't %s: %s", w.name, t.Do, o.Error)
	}
	return o, nil
}

// stop ends the worker and waits for it.
func (w *worker) stop() {
	_ = w.tasks.Close() // a worker that has ended by itself has closed it
	late := time.AfterFunc(endWithin, func() { _ = w.kill() })
	defer late.Stop()
	<-w.ended //nolint:errcheck // how it ends is no news: it keeps nothing
}

// team is workers of a kind.
type team []*worker

func startTeam(kind string, size int, status io.Writer) (team, error) {
	var t team
	for range size {
		w, err := startWorker(kind, status)
		if err != nil {
			t.stop()
			return nil, err
		}
		t = append(t, w)
	}
	return t, nil
}

// ask has every worker do its task at once, and returns their answers in order.
func (t team) ask(ctx context.Context, each func(i int) task) ([]outcome, error) {
	outcomes, errs := make([]outcome, len(t)), make([]error, len(t))
	var all sync.WaitGroup
	for i, w := range t {
		all.Go(func() { outcomes[i], errs[i] = w.ask(ctx, each(i)) })
	}
	all.Wait()
	return outcomes, errors.Join(errs...)
}

// cpu is the CPU time that the workers have used.
func (t team) cpu() (sum time.Duration) {
	for _, w := range t {
		sum += bench.CPUOf(w.pid)
	}
	return sum
}

func (t team) stop() {
	var all sync.WaitGroup
	for _, w := range t {
		all.Go(w.stop)
	}
	all.Wait()
}

// share is how many of a total the i-th of n takes.
func share(total, n, i int) int { return total*(i+1)/n - total*i/n }

// serveTasks answers the tasks on standard input until it ends.
func serveTasks(in io.Reader, out io.Writer, do func(task) outcome) error {
	answers := json.NewEncoder(out)
	for tasks := json.NewDecoder(in); ; {
		var t task
		if err := tasks.Decode(&t); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a task: %w", err)
		}
		if err := answers.Encode(do(t)); err != nil {
			return fmt.Errorf("answer a task: %w", err)
		}
	}
}
