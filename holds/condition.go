package holds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"onsale"
)

// runFresh is how long the server's run id is believed: how long a restart may go
// unseen.
const runFresh = time.Second

// Condition is what an event's stock in Redis is like.
type Condition struct {
	Absent  bool // there is none
	Epoch   onsale.Epoch
	Seq     uint64
	Sale    onsale.Sale
	SameRun bool // laid in this run of the server: it has not been restarted, restored or failed over since
}

// Whole reports whether the stock can be worked with, and is all that was laid.
func (c Condition) Whole() bool { return !c.Absent && c.SameRun && c.Sale != onsale.SaleRecovering }

// Condition asks Redis what an event's stock is like.
func (d *Desk) Condition(ctx context.Context, event onsale.EventID) (Condition, error) {
	run, err := d.run(ctx)
	if err != nil {
		return Condition{}, err
	}
	c := d.cfg.Client
	k := newKeys(d.cfg.Namespace, event)
	head, err := c.Do(ctx, c.B().Hmget().Key(k.all[0]).Field("epoch", "seq", "sale", "run").Build()).AsStrSlice()
	if err != nil || len(head) != 4 {
		return Condition{}, fmt.Errorf("read the condition of %s: %w", event, err)
	}
	if head[0] == "" {
		return Condition{Absent: true}, nil
	}
	epoch, err1 := strconv.ParseUint(head[0], 10, 64)
	seq, err2 := strconv.ParseUint(head[1], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return Condition{}, fmt.Errorf("read the condition of %s: %w", event, err)
	}
	return Condition{Epoch: onsale.Epoch(epoch), Seq: seq, Sale: onsale.Sale(head[2]), SameRun: head[3] == run}, nil
}

// runID remembers the server's run id for a moment: every event asks for it.
type runID struct {
	mu sync.Mutex
	id string    // under mu
	at time.Time // under mu
}

// run is the id that Redis gives itself anew with each start, "" if it tells none.
func (d *Desk) run(ctx context.Context) (string, error) {
	d.runID.mu.Lock()
	defer d.runID.mu.Unlock()
	if time.Since(d.runID.at) < runFresh {
		return d.runID.id, nil
	}
	c := d.cfg.Client
	info, err := c.Do(ctx, c.B().Info().Section("server").Build()).ToString()
	if _, told := rueidis.IsRedisErr(err); err != nil && !told {
		return "", fmt.Errorf("read redis's run id: %w", err)
	}
	id := ""
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "run_id:"); ok {
			id = strings.TrimSpace(rest)
		}
	}
	d.runID.id, d.runID.at = id, time.Now()
	return id, nil
}
