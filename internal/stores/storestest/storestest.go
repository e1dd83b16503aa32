// Package storestest gives tests real servers: one Redis and one Postgres a
// test binary, started when first asked for, with a namespace or a database of
// its own for each test; and a Kafka for each test.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { storestest.Main(m) }
//
// A missing server fails the test, it never skips it.
package storestest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"onsale/internal/stores"
)

// KafkaVariable names the environment variable that names the seeds of an Apache
// Kafka, separated by commas, for the tests to run on instead of the embedded one.
const KafkaVariable = "ONSALE_TEST_KAFKA"

// timeout bounds each start and stop of a server.
const timeout = 60 * time.Second

// Main runs the tests, stops the servers, and exits: with the tests' code, or
// with 1 if a goroutine or a server was left running. The options excuse
// goroutines of libraries that can't be stopped.
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	err := shared.stop()
	if err == nil && code == 0 {
		// rueidis lets what refreshes its view of the servers sleep on for up to a
		// second after Close.
		options = append(options, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
		err = goleak.Find(options...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Redis returns the URL of the binary's Redis, for rueidis.ParseURL, and a
// namespace that no other test uses: begin every key and channel with it. It is
// also good for an event's id. The data of others is there too: no FLUSHALL.
// Needs Main.
func Redis(t testing.TB) (url, namespace string) {
	t.Helper()
	return shared.startRedis(t).URL(), unique()
}

// PrivateRedis returns a running Redis that is the test's own, to stop, start
// and kill. It ends with the test.
func PrivateRedis(t testing.TB) *stores.Redis {
	t.Helper()
	r := stores.NewRedis(stores.RedisConfig{Folder: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	start(t, r.Start)
	t.Cleanup(func() { stop(t, r.Stop) })
	return needRedis(t, r)
}

// Folder returns an empty folder for servers, which goes when the test ends.
// Other than t.TempDir it may be entered by the user that Postgres runs as if we
// are root.
func Folder(t testing.TB) string {
	t.Helper()
	folder := makeFolder(t)
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// Postgres returns the URL of a new, empty database that is dropped when the
// test ends, open connections or not. Durability is off. Needs Main.
func Postgres(t testing.TB) (url string) {
	t.Helper()
	p := shared.startPostgres(t)
	name := "test_" + unique()
	administer(t, p, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, p, "DROP DATABASE "+name+" WITH (FORCE)") })
	return p.DatabaseURL(name)
}

// PrivatePostgres returns a running, durable Postgres that is the test's own, to
// stop, start and kill. It ends with the test, and takes a second to start.
func PrivatePostgres(t testing.TB) *stores.Postgres {
	t.Helper()
	p := stores.NewPostgres(stores.PostgresConfig{Folder: Folder(t), Log: slog.New(slog.DiscardHandler)})
	start(t, p.Start)
	t.Cleanup(func() { stop(t, p.Stop) })
	return p
}

// Replica returns a running streaming replica of a private Postgres, to stop, start
// and kill. It ends with the test.
func Replica(t testing.TB, of *stores.Postgres) *stores.Postgres {
	t.Helper()
	p := stores.NewPostgres(stores.PostgresConfig{Folder: Folder(t), ReplicaOf: of, Log: slog.New(slog.DiscardHandler)})
	start(t, p.Start)
	t.Cleanup(func() { stop(t, p.Stop) })
	return p
}

// PgBouncer returns a running pooler in transaction mode before a private Postgres,
// with so many connections to it, to stop, start and kill. It ends with the test.
func PgBouncer(t testing.TB, of *stores.Postgres, poolSize int) *stores.PgBouncer {
	t.Helper()
	b := stores.NewPgBouncer(stores.PgBouncerConfig{Folder: Folder(t), Of: of, PoolSize: poolSize, Log: slog.New(slog.DiscardHandler)})
	start(t, b.Start)
	t.Cleanup(func() { stop(t, b.Stop) })
	return b
}

// Kafka returns the seeds of a broker: a new embedded one that ends with the
// test, or the Apache Kafka that ONSALE_TEST_KAFKA names, which other tests use
// too. What is made on it must begin with KafkaPrefix.
func Kafka(t testing.TB) (seeds []string) {
	t.Helper()
	if named := os.Getenv(KafkaVariable); named != "" {
		return strings.Split(named, ",")
	}
	return PrivateKafka(t).Seeds()
}

// PrivateKafka returns a running embedded broker that is the test's own, to stop
// and to start. It ends with the test.
func PrivateKafka(t testing.TB) *stores.Kafka {
	t.Helper()
	k := stores.NewKafka(stores.KafkaConfig{Folder: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	start(t, k.Start)
	t.Cleanup(func() { stop(t, k.Stop) })
	return k
}

// KafkaPrefix returns what the test's topics and consumer groups must begin
// with: another text at each call, legal in both.
func KafkaPrefix(testing.TB) string { return unique() + "." }

// calls makes unique unique within the process.
var calls atomic.Int64

// unique returns a name of at most 40 letters and digits that nothing else has,
// on no server that outlives us either. It begins with a letter.
func unique() string {
	return fmt.Sprintf("t%xp%dn%d", time.Now().UnixNano(), os.Getpid(), calls.Add(1))
}

// servers are those that a test binary shares.
type servers struct {
	mu       sync.Mutex
	folder   string           // under mu; "" until the first one starts
	redis    *stores.Redis    // under mu
	postgres *stores.Postgres // under mu
}

var shared servers

func (s *servers) startRedis(t testing.TB) *stores.Redis {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.redis == nil {
		r := stores.NewRedis(stores.RedisConfig{Folder: filepath.Join(s.sharedFolder(t), "redis")})
		start(t, r.Start)
		s.redis = r
	}
	return needRedis(t, s.redis)
}

func (s *servers) startPostgres(t testing.TB) *stores.Postgres {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postgres == nil {
		p := stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(s.sharedFolder(t), "postgres"), Fast: true})
		start(t, p.Start)
		s.postgres = p
	}
	return s.postgres
}

// sharedFolder is the folder of the shared servers. The caller has mu.
func (s *servers) sharedFolder(t testing.TB) string {
	t.Helper()
	if s.folder == "" {
		s.folder = makeFolder(t)
	}
	return s.folder
}

func (s *servers) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	if s.redis != nil {
		errs = append(errs, s.redis.Stop(ctx))
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop(ctx))
	}
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}

// needRedis fails the test if the Redis is not a real one.
func needRedis(t testing.TB, r *stores.Redis) *stores.Redis {
	t.Helper()
	if r.Embedded() {
		t.Fatal("redis-server is missing: run make test, which installs what the tests need")
	}
	return r
}

func start(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("%v (make test installs what the tests need)", err)
	}
}

func stop(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

// administer runs one statement outside any transaction.
func administer(t testing.TB, p *stores.Postgres, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		t.Fatalf("connect to Postgres: %v", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
