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

// runFresh is how long what a server says of itself is believed: how long a restart
// may go unseen.
const runFresh = time.Second

// Condition is what an event's stock in Redis is like.
type Condition struct {
	Absent  bool // there is none
	Epoch   onsale.Epoch
	Seq     uint64
	Sale    onsale.Sale
	Stripes int       // how many books it is in
	SameRun bool      // laid in this run of the server: it has not been restarted, restored, failed over or moved since
	At      time.Time // by the server's clock
}

// Whole reports whether the stock can be worked with, and is all that was laid.
func (c Condition) Whole() bool { return !c.Absent && c.SameRun && c.Sale != onsale.SaleRecovering }

// before reports whether the stock had to change to become the other.
func (c Condition) before(other Condition) bool {
	if c.Absent || other.Absent {
		return c.Absent && !other.Absent
	}
	return c.Epoch < other.Epoch || c.Epoch == other.Epoch && c.Seq < other.Seq
}

// errDemoted says that what was the master is a replica now: the client doesn't know yet.
var errDemoted = errors.New("this redis is not the master any more")

// with is the condition of an event whose first stripes are in condition c, and the
// next in another. The first of all is begun before the others are laid anew, and ended
// after them: so while it is whole, another that isn't, or is of another epoch, was lost.
func (c Condition) with(other Condition) Condition {
	if c.Whole() && (!other.Whole() || other.Epoch != c.Epoch) {
		c.SameRun = false
	}
	c.Seq += other.Seq
	return c
}

// Condition asks Redis what an event's stock is like. The answer is the master's, or an error.
func (d *Desk) Condition(ctx context.Context, event onsale.EventID) (Condition, error) {
	c, err := d.conditionOf(ctx, bookID{event: event})
	for i := 1; i < c.Stripes && err == nil; i++ {
		var other Condition
		other, err = d.conditionOf(ctx, bookID{event, i})
		c = c.with(other)
	}
	if err != nil {
		return Condition{}, err
	}
	return c, nil
}

// conditionOf is Condition for one book.
func (d *Desk) conditionOf(ctx context.Context, id bookID) (Condition, error) {
	c, server, err := d.master.condition(ctx, id.keys(d.cfg.Namespace), runFresh)
	if err == nil && server.replica {
		err = errDemoted
	}
	if err != nil {
		return Condition{}, fmt.Errorf("read the condition of %s: %w", id.event, err)
	}
	return c, nil
}

// run is the run that a book's server is in, "" if it tells none.
func (d *Desk) run(ctx context.Context, k keys) (string, error) {
	_, server, err := d.master.condition(ctx, k, 0)
	if err != nil {
		return "", fmt.Errorf("read redis's run: %w", err)
	}
	return server.run, nil
}

// server is what a Redis server says of itself.
type server struct {
	run     string // see runOf
	replica bool
	cut     bool // a replica that its master doesn't reach
	at      time.Time
}

// place is where events can be read: the master's side of a Redis, or its replicas'.
// In a cluster many servers are behind it.
type place struct {
	client  rueidis.Client
	replica bool // its servers run only what can't write

	mu      sync.Mutex
	servers map[string]server // under mu: by name in the cluster, "" outside one
}

func newPlace(client rueidis.Client, replica bool) *place {
	return &place{client: client, replica: replica, servers: map[string]server{}}
}

// run calls a script that only reads.
func (p *place) run(ctx context.Context, s *script, k keys, args ...string) rueidis.RedisResult {
	if p.replica {
		return s.read(ctx, p.client, k, args)
	}
	return s.run(ctx, p.client, k, args)
}

// condition asks for an event's, and for who has it if that was last asked longer
// than fresh ago: of all the answer, it costs the server most.
func (p *place) condition(ctx context.Context, k keys, fresh time.Duration) (Condition, server, error) {
	mode := ""
	if p.client.Mode() == rueidis.ClientModeCluster {
		mode = "cluster"
	}
	reply, err := p.run(ctx, conditionScript, k, "", mode).AsStrSlice()
	if err != nil {
		return Condition{}, server{}, err
	}
	who, known := p.known(reply, fresh)
	if !known {
		if reply, err = p.run(ctx, conditionScript, k, "whose", mode).AsStrSlice(); err != nil {
			return Condition{}, server{}, err
		}
		if who, err = p.learn(reply); err != nil {
			return Condition{}, server{}, err
		}
	}
	c, err := decodeCondition(reply, who)
	return c, who, err
}

func (p *place) known(reply []string, fresh time.Duration) (server, bool) {
	if len(reply) < 7 {
		return server{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.servers[reply[5]]
	return s, time.Since(s.at) < fresh
}

func (p *place) learn(reply []string) (server, error) {
	if len(reply) != 9 {
		return server{}, fmt.Errorf("condition answered %d words", len(reply))
	}
	s := server{run: runOf(reply[7], reply[8]), replica: field(reply[8], "role") == "slave",
		cut: field(reply[8], "master_link_status") == "down", at: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers[reply[5]] = s
	return s, nil
}

func decodeCondition(reply []string, who server) (Condition, error) {
	now, err := strconv.ParseInt(reply[4], 10, 64)
	if err != nil {
		return Condition{}, fmt.Errorf("read redis's clock: %w", err)
	}
	if reply[0] == "" {
		return Condition{Absent: true, At: fromMs(now)}, nil
	}
	epoch, err1 := strconv.ParseUint(reply[0], 10, 64)
	seq, err2 := strconv.ParseUint(reply[1], 10, 64)
	stripes, err3 := 1, error(nil)
	if reply[6] != "" {
		stripes, err3 = strconv.Atoi(reply[6])
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return Condition{}, err
	}
	return Condition{Epoch: onsale.Epoch(epoch), Seq: seq, Sale: onsale.Sale(reply[2]), Stripes: stripes, SameRun: reply[3] == who.run, At: fromMs(now)}, nil
}

// runOf names the time since a server started, or was made the master, last; "" if it tells neither.
// The process's own id is not enough: a master that was another one's replica for a while has
// lost what that one never got, and is the same process. The id of what it replicates is another then.
func runOf(aboutServer, aboutReplication string) string {
	run, history := field(aboutServer, "run_id"), field(aboutReplication, "master_replid")
	if history == "" {
		return run
	}
	return run + "/" + history
}

// field is the value of a line "name:value" of what INFO says, "" if there is none.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
