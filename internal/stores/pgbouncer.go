package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PgBouncerConfig is how a private PgBouncer runs.
type PgBouncerConfig struct {
	Folder   string       // where its configuration and log are; made if need be
	Of       *Postgres    // the running server that it leads to
	PoolSize int          // connections to that server at the most
	Port     int          // on loopback; 0: a free one, the same at every Start
	Log      *slog.Logger // default: slog.Default()
}

// maxPooled is how many clients a PgBouncer serves: all that the tests have.
const maxPooled = 500

// PgBouncer is a private pooler in transaction mode: what a client sends in one
// transaction meets one server, in the next one perhaps another. It is a
// lifecycle.Part, and may be started again after Stop.
type PgBouncer struct {
	cfg    PgBouncerConfig
	failed chan error

	mu    sync.Mutex
	port  int    // under mu; once chosen it stays
	child *child // under mu; nil unless it runs
}

// NewPgBouncer returns a PgBouncer that is not running yet.
func NewPgBouncer(cfg PgBouncerConfig) *PgBouncer {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &PgBouncer{cfg: cfg, port: cfg.Port, failed: make(chan error, 1)}
}

// Start returns when a query passes through.
func (b *PgBouncer) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.child.runs() {
		return nil
	}
	port, err := onPort(b.port, func(port int) error { return b.start(ctx, port) })
	if err != nil {
		return fmt.Errorf("pgbouncer: %w", err)
	}
	b.port = port
	return nil
}

func (b *PgBouncer) start(ctx context.Context, port int) error {
	program, err := pgBouncerBinary()
	if err != nil {
		return err
	}
	account, err := postgresAccount() // PgBouncer refuses to run as root too
	if err != nil {
		return err
	}
	if err := account.mayEnter(b.cfg.Folder); err != nil {
		return err
	}
	if err := makeFolder(b.cfg.Folder); err != nil {
		return err
	}
	settings := filepath.Join(b.cfg.Folder, "pgbouncer.ini")
	if err := b.configure(account, settings, port); err != nil {
		return err
	}
	child, err := command{
		path: program, args: []string{settings}, folder: b.cfg.Folder,
		log: filepath.Join(b.cfg.Folder, "pgbouncer.log"), account: account, orphan: syscall.SIGKILL,
	}.start("pgbouncer", b.failed)
	if err != nil {
		return err
	}
	err = child.ready(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, postgresURL(port, b.password(), postgresDatabase))
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return conn.Close(ctx)
	})
	if err == nil {
		b.child = child
	}
	return err
}

// configure writes the settings and who may come in: whom the server knows.
func (b *PgBouncer) configure(account *account, settings string, port int) error {
	b.cfg.Of.mu.Lock()
	server := b.cfg.Of.port
	b.cfg.Of.mu.Unlock()
	users := filepath.Join(b.cfg.Folder, "users.txt")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = %d
max_client_conn = %d
`, loopback, server, loopback, port, users, b.cfg.PoolSize, maxPooled)
	for path, text := range map[string]string{settings: text, users: fmt.Sprintf("%q %q\n", postgresUser, b.password())} {
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), account.own(path)); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

func (b *PgBouncer) password() string {
	b.cfg.Of.mu.Lock()
	defer b.cfg.Of.mu.Unlock()
	return b.cfg.Of.password
}

// DatabaseURL leads through the pooler to a database of its server. Valid after Start.
func (b *PgBouncer) DatabaseURL(database string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return postgresURL(b.port, b.password(), database)
}

// Kill ends the pooler at once, as a crash does, with every connection through it.
func (b *PgBouncer) Kill() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.child
	if c == nil {
		return nil
	}
	b.child = nil
	c.mu.Lock()
	c.serving = false
	c.mu.Unlock()
	return c.kill()
}

// Stop ends the pooler and returns when it has ended.
func (b *PgBouncer) Stop(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.child
	if c == nil {
		return nil
	}
	b.child = nil
	return c.stop(ctx, syscall.SIGTERM) // at once: SIGINT waits for its clients
}

// Exited gets one error, with the end of the log, if the pooler ends without Stop or
// Kill. It is never closed.
func (b *PgBouncer) Exited() <-chan error { return b.failed }

func pgBouncerBinary() (string, error) {
	for _, at := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer", "/usr/local/bin/pgbouncer"} {
		if path, err := exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	return "", errors.New("PgBouncer is not installed: apt install pgbouncer, dnf install pgbouncer, or brew install pgbouncer")
}
