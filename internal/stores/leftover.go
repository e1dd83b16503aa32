package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endLeftover ends the server that an earlier run of ours left in folder, if
// there is one, and returns when it is gone. The server is the process that its
// pid file names *and* that works in the folder: a number alone may long be
// someone else's. A pid file of someone else's number is removed.
func endLeftover(ctx context.Context, pidFile, folder string, polite syscall.Signal) error {
	text, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a leftover server: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return removeStale(pidFile)
	}
	if !worksIn(ctx, pid, folder) {
		// A number that nobody has is the server's own to clean up: Postgres
		// then also looks whether a backend of that server still lives.
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil
		}
		return removeStale(pidFile)
	}
	for _, sig := range []syscall.Signal{polite, syscall.SIGKILL} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the server that an earlier run left in %s (process %d): %w", folder, pid, err)
		}
		if waitGone(ctx, pid, folder) {
			return nil
		}
	}
	return fmt.Errorf("the server that an earlier run left in %s (process %d) can't be ended: end it by hand", folder, pid)
}

// waitGone reports whether the process ended within the time that a child has to.
func waitGone(ctx context.Context, pid int, folder string) bool {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for worksIn(ctx, pid, folder) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// worksIn reports whether a living process (a zombie isn't one) has folder as
// its working directory. Redis and Postgres both change to the folder of their
// data. A process that we may not look into isn't ours.
func worksIn(ctx context.Context, pid int, folder string) bool {
	at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if _, noProc := os.Stat("/proc/self/cwd"); noProc != nil {
		at, err = askLsof(ctx, pid)
	}
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(folder)
	return err == nil && at == real
}

// askLsof is worksIn's source on systems without /proc.
func askLsof(ctx context.Context, pid int) (string, error) {
	out, err := exec.CommandContext(ctx, "lsof", "-a", "-d", "cwd", "-Fn", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", fmt.Errorf("ask lsof for the folder of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "n"); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("lsof names no folder for process %d", pid)
}

func removeStale(pidFile string) error {
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}
