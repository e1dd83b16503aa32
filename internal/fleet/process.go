package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"onsale/internal/leash"
)

// Ended is that a process of the fleet has ended and shouldn't have, or not like that.
// What was wrong the process has said itself, on its standard error.
type Ended struct {
	Slot   int
	Code   int            // its exit code; -1 if a signal ended it
	Signal syscall.Signal // that signal; 0 if it exited
	During string         // what it was doing
	First  bool           // no process of the slot had served before
}

// Error implements error.
func (e *Ended) Error() string {
	how := fmt.Sprintf("exited with %d", e.Code)
	if e.Signal != 0 {
		how = fmt.Sprintf("was ended by the signal %q", e.Signal)
	}
	return fmt.Sprintf("process %d %s %s", e.Slot+1, how, e.During)
}

// process is a running process of the fleet. Its fields don't change.
type process struct {
	slot  int
	cmd   *exec.Cmd // its ProcessState is set once ended is closed
	since time.Time
	ready chan bool     // gets true when it serves, or false when it has ended without
	ended chan struct{} // closed when it has ended
}

// begin starts the slot's process. It is not ready yet. In a process group of its own
// it gets no Ctrl-C from the terminal, but from us alone, and once.
func begin(slot int, cmd *exec.Cmd, place string, inherited []*os.File) (*process, error) {
	hear, tell, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	cmd.Env = append(cmd.Environ(), variable+"="+place)
	cmd.ExtraFiles = append([]*os.File{inherited[0], tell}, inherited[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ended, err := leash.Start(cmd, syscall.SIGTERM)
	if err := errors.Join(err, tell.Close()); err != nil { // the process has its own
		return nil, errors.Join(fmt.Errorf("start process %d: %w", slot+1, err), hear.Close())
	}
	p := &process{slot: slot, cmd: cmd, since: time.Now(), ready: make(chan bool, 1), ended: make(chan struct{})}
	go func() { // ends with the process
		var b [1]byte
		n, _ := hear.Read(b[:]) // it has ended if there is nothing to read
		p.ready <- n == 1
		hear.Close()
		<-ended //nolint:errcheck // how is in its ProcessState
		close(p.ended)
	}()
	return p, nil
}

// howEnded says how the process has ended.
func (p *process) howEnded(during string) *Ended {
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus) // as on every Unix
	e := &Ended{Slot: p.slot, Code: status.ExitStatus(), During: during}
	if status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}

// end has the process stop, and kills it if it takes longer than it may. Any other end
// than a good one, or one by the signal before it was listened to, is an *Ended.
func (p *process) end(within time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // or it has ended
	select {
	case <-p.ended:
	case <-time.After(within):
		_ = p.cmd.Process.Kill() // as above
		<-p.ended
	}
	if how := p.howEnded("while it stopped"); how.Code != 0 && how.Signal != syscall.SIGTERM {
		return how
	}
	return nil
}
