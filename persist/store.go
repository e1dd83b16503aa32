package persist

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5/pgxpool"

	"onsale"
)

const (
	// DefaultMaxConns is the size of a process's pool.
	DefaultMaxConns = 25
	// connectTimeout bounds one attempt to connect.
	connectTimeout = 5 * time.Second
	// queryTimeout bounds a read.
	queryTimeout = 10 * time.Second
	// batchTimeout bounds one attempt of a settlement transaction, and a read of a whole event.
	batchTimeout = 30 * time.Second
)

// Config says how a Store behaves.
type Config struct {
	MaxConns int    // connections at the most; default DefaultMaxConns
	Secret   []byte // the installation's secret, which ticket codes and transfers are signed under
	// ReadURLs lead to streaming replicas, nearest first, for reads that decide nothing;
	// the master is the last resort. Default: none.
	ReadURLs []string
	Metrics  *metrics.Set // default: a set of its own
	Log      *slog.Logger // default: slog.Default()
}

// Store is the connection to Postgres. Safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool // of the master
	replicas  *replicas
	ticketKey ed25519.PrivateKey
	secret    []byte // of transfers' tokens

	mu      sync.RWMutex
	layouts map[onsale.EventID]*onsale.Layout // under mu; an event never changes, so never invalid
}

// Open connects to the Postgres at url and checks that its tables are those of
// this build. The url may lead to a PgBouncer in transaction mode. An error is one
// line that says what to do.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	pool, err := newPool(ctx, url, cfg.MaxConns)
	if err != nil {
		return nil, err
	}
	s := &Store{
		pool:      pool,
		ticketKey: onsale.TicketKey(cfg.Secret),
		secret:    cfg.Secret,
		layouts:   map[onsale.EventID]*onsale.Layout{},
	}
	if err := s.checkVersion(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	if s.replicas, err = follow(ctx, pool, cfg); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// Close waits for what is under way and closes every connection.
func (s *Store) Close() {
	s.replicas.close()
	s.pool.Close()
}

// Ping returns a CodeUnavailable refusal if Postgres doesn't answer.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := s.pool.Ping(ctx); err != nil {
		return failed("ping Postgres", err)
	}
	return nil
}

// Layout returns the layout of an event. It is read once and then kept, since an
// event never changes: its sale and epoch must be taken from Event instead. An
// event that doesn't exist is refused with CodeUnknownEvent.
func (s *Store) Layout(ctx context.Context, id onsale.EventID) (*onsale.Layout, error) {
	s.mu.RLock()
	l := s.layouts[id]
	s.mu.RUnlock()
	if l != nil {
		return l, nil
	}
	e, err := s.Event(ctx, id)
	if err != nil {
		return nil, err
	}
	l = onsale.NewLayout(e)
	s.mu.Lock()
	s.layouts[id] = l
	s.mu.Unlock()
	return l, nil
}
