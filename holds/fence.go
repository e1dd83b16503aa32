package holds

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// fencedScript is a script that works only on stock that was laid in the run of the
// server that it is meant for.
//
// A Redis that was restarted, or a replica that was promoted, may have lost its last
// writes and look whole all the same. It has also forgotten every script. So the name
// of the run is part of the script's text, and thereby of its SHA-1: the first call
// after a loss finds that Redis doesn't know the script, asks which run this is, and
// sends the script with that id; and there it refuses what another run has laid.
// While nothing is lost this costs nothing: no question, and one comparison a call.
type fencedScript struct {
	base *script

	mu   sync.Mutex
	runs map[string]*script // under mu: by the run
}

// maxRuns is how many runs' scripts are kept: more than a cluster has masters.
const maxRuns = 64

func fenced(base *script) *fencedScript {
	return &fencedScript{base: base, runs: map[string]*script{}}
}

// in returns the script for a run of the server; "" is that of a server that tells none.
func (f *fencedScript) in(run string) *script {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.runs[run]
	if s == nil {
		if len(f.runs) >= maxRuns {
			clear(f.runs) // of servers that are long gone, mostly
		}
		s = programme(fmt.Sprintf("local RUN = %q\n", run) + f.base.source)
		f.runs[run] = s
	}
	return s
}

// run calls the script on an event's keys. known is what it was called as before, and
// is now; it may be empty. whose asks for the run.
func (f *fencedScript) run(ctx context.Context, c rueidis.Client, k keys, known *atomic.Pointer[script],
	whose func(context.Context) (string, error), args []string) ([]rueidis.RedisMessage, error) {
	if s := known.Load(); s != nil {
		if r := s.evalsha(ctx, c, k, args); !isForgotten(r.Error()) {
			return r.ToArray()
		}
	}
	run, err := whose(ctx)
	if err != nil {
		return nil, err
	}
	s := f.in(run)
	known.Store(s)
	return s.run(ctx, c, k, args).ToArray()
}
