package stores

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// RedisConfig is how a private Redis runs.
type RedisConfig struct {
	Folder     string       // where everything of it is; made if need be
	Port       int          // on loopback; 0: a free one, the same at every Start
	Binary     string       // redis-server or valkey-server; "": found, see RedisBinary
	AppendOnly bool         // keep the data on disk, flushed each second; default: lost at Stop
	Log        *slog.Logger // default: slog.Default()
}

// Redis is a private redis-server, or an in-process miniredis where there is no
// redis-server to run. It is a lifecycle.Part, and may be started again after
// Stop. It never evicts and takes no snapshots.
type Redis struct {
	cfg    RedisConfig
	failed chan error

	mu       sync.Mutex
	port     int       // under mu; once chosen it stays
	password string    // under mu
	child    *child    // under mu; nil unless it runs as a process
	embedded *embedded // under mu; nil unless it runs in ours
}

// NewRedis returns a Redis that is not running yet.
func NewRedis(cfg RedisConfig) *Redis {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Redis{cfg: cfg, port: cfg.Port, failed: make(chan error, 1)}
}

// Start returns when Redis answers.
func (r *Redis) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child.runs() || r.embedded != nil {
		return nil
	}
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

func (r *Redis) start(ctx context.Context) error {
	folder, err := filepath.Abs(r.cfg.Folder)
	if err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	if err := makeFolder(folder); err != nil {
		return err
	}
	if r.password, err = password(folder); err != nil {
		return err
	}
	binary, err := RedisBinary(r.cfg.Binary)
	if errors.Is(err, errNoRedis) {
		r.cfg.Log.Warn("running an embedded Redis: not for benchmarks, and its data is lost at the end", "because", err)
		r.port, err = onPort(r.port, r.startEmbedded)
		return err
	}
	if err != nil {
		return err
	}
	if err := endLeftover(ctx, filepath.Join(folder, redisPidName), folder, syscall.SIGTERM); err != nil {
		return err
	}
	r.port, err = onPort(r.port, func(port int) error { return r.startServer(ctx, binary, folder, port) })
	return err
}

const (
	redisConfName = "redis.conf"
	redisPidName  = "redis.pid"
	redisLogName  = "redis.log"
)

func (r *Redis) startServer(ctx context.Context, binary, folder string, port int) error {
	conf := filepath.Join(folder, redisConfName)
	if err := os.WriteFile(conf, []byte(r.conf(folder, port)), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	orphan := syscall.SIGKILL // it has nothing to finish, unless
	if r.cfg.AppendOnly {
		orphan = syscall.SIGTERM // it has acknowledged what it has yet to write
	}
	c, err := command{
		path: binary, args: []string{conf}, folder: folder,
		log: filepath.Join(folder, redisLogName), orphan: orphan,
	}.start("redis-server", r.failed)
	if err != nil {
		return err
	}
	if err := c.ready(ctx, func(ctx context.Context) error { return ping(ctx, port, r.password) }); err != nil {
		return err
	}
	r.child = c
	return nil
}

// conf is the configuration file: a file and not arguments, for the password.
func (r *Redis) conf(folder string, port int) string {
	appendOnly := "no"
	if r.cfg.AppendOnly {
		appendOnly = "yes"
	}
	return strings.Join([]string{
		"bind " + loopback,
		"port " + strconv.Itoa(port),
		"requirepass " + r.password,
		"dir " + strconv.Quote(folder),
		"pidfile " + strconv.Quote(filepath.Join(folder, redisPidName)),
		"daemonize no",
		`save ""`,
		"appendonly " + appendOnly,
		"appendfsync everysec",
		"maxmemory-policy noeviction",
		"",
	}, "\n")
}

// ping asks a server whether it answers, and whether it is the one with our
// password.
func ping(ctx context.Context, port int, password string) (err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address(port))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }() // the answer is all that is wanted of it
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", password); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	answers := bufio.NewReader(conn)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := answers.ReadString('\n')
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		if line = strings.TrimSpace(line); line != want {
			return fmt.Errorf("ping: %s", line) // while it loads: LOADING
		}
	}
	return nil
}

// Stop ends Redis and returns when it has ended.
func (r *Redis) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.embedded; e != nil {
		r.embedded = nil
		return e.stop(ctx)
	}
	if c := r.child; c != nil {
		r.child = nil
		if err := c.stop(ctx, syscall.SIGTERM); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	return nil
}

// URL is where it listens, as rueidis.ParseURL reads it, with the password.
// Valid after Start.
func (r *Redis) URL() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := url.URL{Scheme: "redis", User: url.UserPassword("", r.password), Host: address(r.port)}
	if r.embedded != nil {
		u.RawQuery = "client_cache=0" // it has no CLIENT TRACKING
	}
	return u.String()
}

// Embedded reports whether it is the in-process stand-in: right in its answers,
// but no measure of speed, and without persistence.
func (r *Redis) Embedded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.embedded != nil
}

// PID is the process of the server; 0 if there is none.
func (r *Redis) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return 0
	}
	return r.child.pid
}

// Exited gets one error, with the end of the log, if the server ends without
// Stop. It is never closed.
func (r *Redis) Exited() <-chan error { return r.failed }
