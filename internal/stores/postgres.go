package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresConfig is how a private Postgres runs.
type PostgresConfig struct {
	Folder   string // where everything of it is; made if need be
	Port     int    // on loopback; 0: a free one, the same at every Start
	Binaries string // the folder of initdb and postgres; "": the newest that is found
	Fast     bool   // for tests: a crash of it loses commits. Default: all that is committed survives
	// ReplicaOf is the running server that this one is a streaming replica of; nil: it is a
	// master. A replica has its master's data, users and passwords, and takes no writes.
	ReplicaOf *Postgres
	Log       *slog.Logger // default: slog.Default()
}

// Postgres is a private PostgreSQL server with the database `onsale`. It is a
// lifecycle.Part, and may be started again after Stop.
type Postgres struct {
	cfg    PostgresConfig
	failed chan error

	mu       sync.Mutex
	port     int    // under mu; once chosen it stays
	password string // under mu
	child    *child // under mu; nil unless it runs
}

// The names in the server, and of what is in its folder. Only data is given to
// the server's user.
const (
	postgresUser     = "onsale"
	postgresDatabase = "onsale"
	postgresData     = "data"
	postgresLogName  = "postgres.log"
)

// errStillInUse says that processes of a killed server still end.
var errStillInUse = errors.New("processes of an earlier server still run in the data folder: end them")

// NewPostgres returns a Postgres that is not running yet.
func NewPostgres(cfg PostgresConfig) *Postgres {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Postgres{cfg: cfg, port: cfg.Port, failed: make(chan error, 1)}
}

// Start returns when Postgres answers and the database is there. The first
// start in a folder makes a cluster, which takes a second or two; a start after
// a crash waits for recovery.
func (p *Postgres) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child.runs() {
		return nil
	}
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

func (p *Postgres) start(ctx context.Context) error {
	c, err := p.prepare(ctx)
	if err != nil {
		return err
	}
	pidFile := filepath.Join(c.data, "postmaster.pid")
	// SIGQUIT leaves the rest to crash recovery: nothing committed is lost, and
	// the folder is free at once.
	if err := endLeftover(ctx, pidFile, c.data, syscall.SIGQUIT); err != nil {
		return err
	}
	p.port, err = onPort(p.port, func(port int) error { return p.startServer(ctx, c, port) })
	if err != nil {
		return err
	}
	if err := p.createDatabase(ctx); err != nil {
		return errors.Join(err, p.stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// startServer starts the server, again and again while processes of a killed
// one are still on their way out.
func (p *Postgres) startServer(ctx context.Context, c *cluster, port int) error {
	deadline := time.Now().Add(stopGrace)
	for {
		err := p.tryServer(ctx, c, port)
		if !errors.Is(err, errStillInUse) || time.Now().After(deadline) {
			return err
		}
	}
}

func (p *Postgres) tryServer(ctx context.Context, c *cluster, port int) error {
	child, err := command{
		path: c.binaries.program("postgres"), args: p.arguments(c.data, port), folder: c.data,
		log: filepath.Join(c.folder, postgresLogName), account: c.account,
		orphan: syscall.SIGQUIT,
	}.start("postgres", p.failed)
	if err != nil {
		return err
	}
	err = child.ready(ctx, func(ctx context.Context) error {
		return p.with(ctx, port, "postgres", func(*pgx.Conn) error { return nil })
	})
	if err != nil {
		return err
	}
	p.child = child
	return nil
}

func (p *Postgres) arguments(data string, port int) []string {
	args := []string{"-D", data}
	set := func(name, value string) { args = append(args, "-c", name+"="+value) }
	set("listen_addresses", loopback)
	set("port", strconv.Itoa(port))
	set("unix_socket_directories", "")
	set("max_connections", "100")
	set("shared_buffers", "64MB")
	set("logging_collector", "off")
	set("log_destination", "stderr")
	set("timezone", "UTC")
	if p.cfg.Fast {
		set("fsync", "off")
		set("synchronous_commit", "off")
		set("full_page_writes", "off")
	}
	return args
}

// createDatabase makes the database unless it is there.
func (p *Postgres) createDatabase(ctx context.Context) error {
	return p.with(ctx, p.port, "postgres", func(conn *pgx.Conn) error {
		var there bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", postgresDatabase).Scan(&there)
		if err == nil && !there {
			_, err = conn.Exec(ctx, "CREATE DATABASE "+postgresDatabase)
		}
		if err != nil {
			return fmt.Errorf("create database %s: %w", postgresDatabase, err)
		}
		return nil
	})
}

// with calls use with a connection of its own.
func (p *Postgres) with(ctx context.Context, port int, database string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, postgresURL(port, p.password, database))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return errors.Join(use(conn), conn.Close(ctx))
}

// Stop disconnects everyone, ends Postgres, and returns when it has ended.
func (p *Postgres) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stop(ctx)
}

func (p *Postgres) stop(ctx context.Context) error {
	c := p.child
	if c == nil {
		return nil
	}
	p.child = nil
	if err := c.stop(ctx, syscall.SIGINT); err != nil { // its "fast" shutdown
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// URL is where the database `onsale` is, with the password. Valid after Start.
func (p *Postgres) URL() string { return p.DatabaseURL(postgresDatabase) }

// DatabaseURL is URL for another database of the same server.
func (p *Postgres) DatabaseURL(database string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return postgresURL(p.port, p.password, database)
}

func postgresURL(port int, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(postgresUser, password),
		Host: address(port), Path: database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// PID is the process of the server; 0 if there is none.
func (p *Postgres) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return 0
	}
	return p.child.pid
}

// Exited gets one error, with the end of the log, if the server ends without
// Stop. It is never closed.
func (p *Postgres) Exited() <-chan error { return p.failed }
