// Package suite runs the bench's scenarios one after the other, each in a short form and as
// a process of its own, and puts their reports in one list.
//
// One that fails doesn't keep the others from being run: it is said when it happens, stands in
// the list as what it is, and fails the whole at the end. What came before it is written
// after each scenario, so that who interrupts a suite has the reports so far.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/leash"
)

const (
	// longest is how long a scenario may take before it is interrupted.
	longest = 5 * time.Minute
	// leaving is how long it then may take to leave, before it is killed.
	leaving = 45 * time.Second
)

// Scenario is one of the bench's subcommands with what makes it short.
type Scenario struct {
	Name string
	Args []string // after its name
}

// Short are the short forms, from the innermost part to the whole. Those with rounds have four,
// which is the least that a comparison can tell from noise.
var Short = []Scenario{
	{"engine", []string{"--rounds", "4"}},
	{"holds", []string{"--rounds", "4", "--lasting", "1s"}},
	{"peers", []string{"--rounds", "4", "--lasting", "500ms", "--connections", "256"}},
	{"settle", []string{"--rounds", "4", "--orders", "5000", "--backlog", "20000"}},
	{"feed", []string{"--conns", "3000", "--rounds", "4", "--lasting", "4s", "--idle", "5s"}},
	{"rush", []string{"--embedded", "--users", "2000", "--over", "5s"}},
	{"faults", []string{"--runs", "1", "--duration", "15s"}},
}

// Config says what to run. All fields are needed but Done.
type Config struct {
	Binary    string // onsale
	Scenarios []Scenario
	Out       io.Writer // has what the scenarios print
	Status    io.Writer // hears how they go on; a terminal shows it live
	// Done is given the reports so far after each scenario. An error ends the suite.
	Done func([]*bench.Report) error
}

// Run runs the scenarios and returns the report of each, in their order. The error joins what each
// has failed with, as its own exit code says: an *onsale.AuditError, a *bench.ConfigError,
// bench.ErrVoid, or any other.
func Run(ctx context.Context, cfg Config) (reports []*bench.Report, err error) {
	folder, err := os.MkdirTemp("", "onsale-suite-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the reports: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	var failed []error
	for i, s := range cfg.Scenarios {
		fmt.Fprintf(cfg.Status, "\n── %s (%d of %d): onsale bench %s %s\n", s.Name, i+1, len(cfg.Scenarios), s.Name, strings.Join(s.Args, " "))
		began := time.Now()
		made, err := cfg.run(ctx, s, filepath.Join(folder, s.Name+".json"))
		if err != nil {
			err = fmt.Errorf("bench %s: %w", s.Name, err)
			fmt.Fprintf(cfg.Status, "── FAILED after %.0f s: %v\n", time.Since(began).Seconds(), err)
			failed = append(failed, err)
		} else {
			fmt.Fprintf(cfg.Status, "── %s: all is well, after %.0f s\n", s.Name, time.Since(began).Seconds())
		}
		reports = append(reports, made...)
		if cfg.Done != nil {
			if err := cfg.Done(reports); err != nil {
				return reports, errors.Join(append(failed, err)...)
			}
		}
		if ctx.Err() != nil {
			return reports, errors.Join(append(failed, ctx.Err())...)
		}
	}
	return reports, errors.Join(failed...)
}

// run runs one scenario and reads its report; one that left none has a void one.
func (c Config) run(ctx context.Context, s Scenario, path string) ([]*bench.Report, error) {
	failure := c.process(ctx, s, path)
	reports, err := bench.ReadReports(path)
	if err == nil {
		return reports, failure
	}
	if failure == nil {
		failure = err
	}
	none := bench.NewReport(s.Name, map[string]any{"args": strings.Join(s.Args, " ")})
	none.Void = "there is no report: " + failure.Error()
	return []*bench.Report{none}, failure
}

// process runs a scenario as a process, and returns what its exit code means.
func (c Config) process(ctx context.Context, s Scenario, path string) error {
	limited, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	args := append([]string{"bench", s.Name}, s.Args...)
	command := exec.Command(c.Binary, append(args, "--json", path)...)
	command.Stdout, command.Stderr = c.Out, c.Status
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who then interrupt it
	ended, err := leash.Start(command, syscall.SIGINT)
	if err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	select {
	case err = <-ended:
		return meaning(err)
	case <-limited.Done():
	}
	_ = command.Process.Signal(os.Interrupt) // it may have ended just now
	kill := time.AfterFunc(leaving, func() { _ = command.Process.Kill() })
	defer kill.Stop()
	err = meaning(<-ended)
	if ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return errors.Join(err, fmt.Errorf("it took longer than %v", longest))
}

// meaning is what an exit code of onsale means, as cmd/onsale has them.
func meaning(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch exit.ExitCode() {
	case 2:
		return &bench.ConfigError{Text: "it can't be run like this: see above"}
	case 3:
		return &onsale.AuditError{Text: "promises were broken: see above"}
	case 4:
		return fmt.Errorf("%w: see above", bench.ErrVoid)
	}
	return errors.New("it failed (" + err.Error() + "): see above")
}
