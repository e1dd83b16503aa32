package feed

import (
	"context"
	"strconv"
	"strings"
	"time"

	"onsale/bench"
)

// fleet is the feed as an operator runs it: `onsale feed --procs N`, processes behind one port,
// among which the kernel shares out what connects. What is said of it is the sum over all of
// them, and their supervisor.
type fleet struct{ server *bench.Server }

func startFleet(ctx context.Context, cfg Config, env []string) (*fleet, error) {
	args := []string{"feed", "--listen", anyPort, "--max-feeds", strconv.Itoa(bench.RoomForFeeds(cfg.Conns, cfg.Procs)), "--procs", strconv.Itoa(cfg.Procs)}
	if cfg.Procs > 1 {
		args = append(args, "--metrics-listen", anyPort)
	}
	server, err := bench.StartRole(ctx, "feed", cfg.Status, env, args...)
	if err != nil {
		return nil, err
	}
	return &fleet{server}, nil
}

// host is the host:port of all processes.
func (f *fleet) host() string { return strings.TrimPrefix(f.server.URL, "http://") }

// each is where each process answers for itself.
func (f *fleet) each() []string {
	if len(f.server.Own) == 0 {
		return []string{f.server.URL}
	}
	return f.server.Own
}

// cpu is the CPU time that the feed has used.
func (f *fleet) cpu() time.Duration { return f.server.CPU() }

// resident is the memory of all processes, in bytes. The program, which they share, is in
// memory once and counts once.
func (f *fleet) resident() float64 {
	own, program := bench.Resident(f.server.PID())
	return float64(own + program)
}

// files is how many files all processes have open.
func (f *fleet) files() float64 { return float64(bench.OpenFiles(f.server.PID())) }

func (f *fleet) stop() error { return f.server.Stop() }
