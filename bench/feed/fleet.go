package feed

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"onsale/bench"
)

// fleet is the feed's processes. What is said of it is the sum over all of them.
type fleet struct{ servers []*bench.Server }

func startFleet(ctx context.Context, cfg Config, env []string) (*fleet, error) {
	f := &fleet{servers: make([]*bench.Server, cfg.Procs)}
	room := cfg.Conns/cfg.Procs + cfg.Conns/cfg.Procs/10 + 10 // a client that was cut may be back before that is known
	errs := make([]error, cfg.Procs)
	var all sync.WaitGroup
	for i := range f.servers {
		all.Go(func() {
			f.servers[i], errs[i] = bench.StartRole(ctx, "feed "+strconv.Itoa(i+1), cfg.Status, env,
				"feed", "--listen", anyPort, "--max-feeds", strconv.Itoa(room))
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

// hosts are the processes' host:port.
func (f *fleet) hosts() (hosts []string) {
	for _, s := range f.servers {
		hosts = append(hosts, strings.TrimPrefix(s.URL, "http://"))
	}
	return hosts
}

// cpu is the CPU time that the feed has used.
func (f *fleet) cpu() (sum time.Duration) {
	for _, s := range f.servers {
		sum += s.CPU()
	}
	return sum
}

// resident is the memory of all processes, in bytes. The program, which they share, is in
// memory once and counts once.
func (f *fleet) resident() float64 {
	var sum, program int64
	for _, s := range f.servers {
		own, shared := bench.Resident(s.PID())
		sum, program = sum+own, max(program, shared)
	}
	return float64(sum + program)
}

// files is how many files all processes have open.
func (f *fleet) files() (sum float64) {
	for _, s := range f.servers {
		sum += float64(bench.OpenFiles(s.PID()))
	}
	return sum
}

func (f *fleet) stop() error {
	errs := make([]error, len(f.servers))
	var all sync.WaitGroup
	for i, s := range f.servers {
		if s != nil {
			all.Go(func() { errs[i] = s.Stop() })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}
