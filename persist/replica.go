package persist

// Reads that decide nothing may be a few seconds old: pages of a buyer's orders. They
// go to a streaming replica, so that a crowd that looks its orders up takes nothing
// from those who buy. An audit goes there too, once the replica has all that the
// master had when the audit began. Everything else is the master's: what is decided,
// and what a buyer was just told of, which must not go backwards.
//
// A replica is held against the master by the log's position, twice a second: what
// the master had at a moment must be there now. So a replica that is paused, killed,
// cut off, lagging or promoted stops being used within maxReplicaAge, and a query that
// fails there is asked of the master at once.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5/pgxpool"

	"onsale/internal/freshness"
	"onsale/internal/lifecycle"
)

const (
	// maxReplicaAge is how old what a replica says may be.
	maxReplicaAge = 3 * time.Second
	// replicaEvery is how often a replica is checked.
	replicaEvery = 500 * time.Millisecond
	// replicaTimeout bounds a check, and a read there before the master is asked instead.
	replicaTimeout = time.Second
	// replicaMarks span more than maxReplicaAge.
	replicaMarks = 16
	// catchUpWait is how long an audit waits for a replica to have all that the master has.
	catchUpWait = 2 * time.Second
	catchUpPoll = 20 * time.Millisecond

	masterPosition  = `SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint, system_identifier FROM pg_control_system()`
	replicaPosition = `SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0)::bigint, system_identifier, pg_is_in_recovery() FROM pg_control_system()`
)

// replicas are where reads go, nearest first.
type replicas struct {
	all    []*replica
	group  lifecycle.Group
	master *pgxpool.Pool
	log    *slog.Logger

	fromReplica, fromMaster *metrics.Counter
}

// replica is one streaming replica.
type replica struct {
	name  string // host:port
	pool  *pgxpool.Pool
	marks *freshness.Marks[int64] // the checker's alone

	// asOf is the last moment, in Unix nanoseconds, of which it is known to have
	// everything; 0 while it is not to be used.
	asOf atomic.Int64
	used atomic.Bool // whether the log says that it is used
}

// follow opens the pools of the replicas and begins to check them. A replica that
// doesn't answer is no error: it is used once it does.
func follow(ctx context.Context, master *pgxpool.Pool, cfg Config) (*replicas, error) {
	rs := &replicas{master: master, log: cfg.Log,
		fromReplica: cfg.Metrics.GetOrCreateCounter(`onsale_postgres_reads_total{from="replica"}`),
		fromMaster:  cfg.Metrics.GetOrCreateCounter(`onsale_postgres_reads_total{from="master"}`)}
	for i, url := range cfg.ReadURLs {
		pool, err := newPool(ctx, url, cfg.MaxConns)
		if err != nil {
			rs.close()
			return nil, fmt.Errorf("--postgres-read: URL %d: %w", i+1, err)
		}
		cc := pool.Config().ConnConfig
		r := &replica{name: fmt.Sprintf("%s:%d", cc.Host, cc.Port), pool: pool, marks: freshness.NewMarks[int64](replicaMarks)}
		rs.all = append(rs.all, r)
		cfg.Metrics.GetOrCreateGauge(fmt.Sprintf(`onsale_postgres_replica_fresh{replica=%q}`, r.name), func() float64 {
			if r.fresh() {
				return 1
			}
			return 0
		})
	}
	for _, r := range rs.all {
		rs.group.Go(ctx, func(ctx context.Context) { rs.keep(ctx, r) })
	}
	return rs, nil
}

func (rs *replicas) close() {
	_ = rs.group.Stop(context.Background()) // each check is bounded
	for _, r := range rs.all {
		r.pool.Close()
	}
}

// keep checks a replica for as long as the store is open.
func (rs *replicas) keep(ctx context.Context, r *replica) {
	look := func(ctx context.Context) {
		err := rs.check(ctx, r)
		if err != nil {
			r.asOf.Store(0)
		}
		if fresh := r.fresh(); fresh != r.used.Swap(fresh) && ctx.Err() == nil {
			rs.log.Warn("reads from a Postgres replica changed", "replica", r.name, "used", fresh, "error", err)
		}
	}
	look(ctx)
	lifecycle.Every(ctx, replicaEvery, look)
}

var (
	errNoReplica    = errors.New("it is no replica: it takes writes of its own")
	errOtherCluster = errors.New("it is a replica of another cluster")
)

// check finds out of which moment the replica has everything. That the master can't
// be asked is no fault of the replica: what it has grows old by itself.
func (rs *replicas) check(ctx context.Context, r *replica) error {
	at := time.Now()
	position, cluster, err := rs.masterAt(ctx)
	if err == nil {
		r.marks.Note(at, position)
	}
	replayed, of, err := r.position(ctx)
	if err != nil {
		return err
	}
	if cluster != 0 && of != cluster {
		return errOtherCluster
	}
	if moment, ok := r.marks.Reached(func(position int64) bool { return position <= replayed }); ok {
		r.asOf.Store(moment.UnixNano())
	}
	return nil
}

// masterAt is how far the master's log is durable, and which cluster it is.
func (rs *replicas) masterAt(ctx context.Context) (position, cluster int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	err = rs.master.QueryRow(ctx, masterPosition).Scan(&position, &cluster)
	return position, cluster, err
}

// position is how far the replica has replayed the log of which cluster.
func (r *replica) position(ctx context.Context) (position, cluster int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	var follows bool
	if err = r.pool.QueryRow(ctx, replicaPosition).Scan(&position, &cluster, &follows); err == nil && !follows {
		err = errNoReplica
	}
	return position, cluster, err
}

// fresh reports whether what the replica says is new enough.
func (r *replica) fresh() bool {
	asOf := r.asOf.Load()
	return asOf != 0 && time.Since(time.Unix(0, asOf)) <= maxReplicaAge
}

// nearest is the first replica that is fresh; nil if none is.
func (rs *replicas) nearest() *replica {
	for _, r := range rs.all {
		if r.fresh() {
			return r
		}
	}
	return nil
}

// read runs f on the nearest fresh replica, or on the master if there is none or f
// fails there. f must set its results anew on each run.
func (rs *replicas) read(ctx context.Context, f func(context.Context, *pgxpool.Pool) error) error {
	if r := rs.nearest(); r != nil {
		err := r.try(ctx, f)
		if err == nil {
			rs.fromReplica.Inc()
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
	rs.fromMaster.Inc()
	return f(ctx, rs.master)
}

// try runs f on the replica, which is not used again before its next check if f fails.
func (r *replica) try(ctx context.Context, f func(context.Context, *pgxpool.Pool) error) error {
	bounded, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	err := f(bounded, r.pool)
	if err != nil && ctx.Err() == nil {
		r.asOf.Store(0)
	}
	return err
}

// caughtUp returns a replica that has all that the master had when it was called, or
// nil if none has within catchUpWait.
func (rs *replicas) caughtUp(ctx context.Context) *replica {
	r := rs.nearest()
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	want, _, err := rs.masterAt(ctx)
	if err != nil {
		return nil
	}
	tick := time.NewTicker(catchUpPoll)
	defer tick.Stop()
	for {
		has, _, err := r.position(ctx)
		if err != nil {
			return nil
		}
		if has >= want {
			return r
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
