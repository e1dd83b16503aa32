package stores_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"onsale/internal/lifecycle"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

// wantRefusal checks that a start failed with one line that says these words.
func wantRefusal(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	if strings.Contains(text, "\n") {
		t.Errorf("more than one line: %s", text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q doesn't say %q", text, word)
		}
	}
}

func TestPortInUseIsToldInOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	folder := storestest.Folder(t)
	for name, part := range map[string]lifecycle.Part{
		"redis":    stores.NewRedis(stores.RedisConfig{Folder: filepath.Join(folder, "redis"), Port: port}),
		"postgres": stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(folder, "postgres"), Port: port, Fast: true}),
		"kafka":    stores.NewKafka(stores.KafkaConfig{Folder: filepath.Join(folder, "kafka"), Port: port}),
	} {
		wantRefusal(t, part.Start(t.Context()), name, strconv.Itoa(port), "in use: choose another one")
	}
}

func TestSecondUserOfAFolderIsToldWhoTheFirstIs(t *testing.T) {
	folder := t.TempDir()
	lock, err := stores.Lock(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stores.Lock(folder)
	wantRefusal(t, err, folder, strconv.Itoa(os.Getpid()), "--data")
	for range 2 {
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := stores.Lock(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestClusterOfAnotherPostgresIsToldInOneLine(t *testing.T) {
	folder := storestest.Folder(t)
	data := filepath.Join(folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := stores.NewPostgres(stores.PostgresConfig{Folder: folder}).Start(t.Context())
	wantRefusal(t, err, "PostgreSQL 9", "install")
}

func TestNamedServerThatIsMissingIsAnError(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "redis-server")
	r := stores.NewRedis(stores.RedisConfig{Folder: t.TempDir(), Binary: missing})
	wantRefusal(t, r.Start(t.Context()), missing)
	t.Setenv(stores.RedisBinaryVariable, missing)
	wantRefusal(t, stores.NewRedis(stores.RedisConfig{Folder: t.TempDir()}).Start(t.Context()), missing)
	p := stores.NewPostgres(stores.PostgresConfig{Folder: storestest.Folder(t), Binaries: missing})
	wantRefusal(t, p.Start(t.Context()), missing)
}

func TestFolderThatPostgresMayNotEnterIsToldInOneLine(t *testing.T) {
	closed := filepath.Join(storestest.Folder(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	someone := stores.Account("someone", 54321, 54321)
	data := filepath.Join(closed, "not", "made", "yet")
	wantRefusal(t, someone.MayEnter(data), "someone", closed, "-rwx------", "/var/lib/onsale")
	if err := os.Chmod(closed, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := someone.MayEnter(data); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultFolderIsOneThatPostgresMayEnter(t *testing.T) {
	folder, err := stores.DefaultFolder()
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(folder) || filepath.Base(folder) != "onsale" {
		t.Errorf("default folder %q", folder)
	}
}

func TestOtherUsersOfTheMachineAreKeptOut(t *testing.T) {
	folder := storestest.Folder(t)
	r, p := redisIn(folder), fastPostgresIn(folder)
	start(t, r)
	start(t, p)
	for _, url := range []string{r.URL(), p.URL()} {
		host := url[strings.LastIndex(url, "@")+1:]
		if strings.HasPrefix(url, "redis") {
			if err := redisDo(t, "redis://"+host, "GET", "x"); err == nil {
				t.Error("Redis answers without a password")
			}
			continue
		}
		if err := connect(t, "postgres://onsale:wrong@"+host); err == nil {
			t.Error("Postgres answers to a wrong password")
		}
	}
	for _, secret := range []string{"redis/password", "redis/redis.conf", "postgres/password"} {
		info, err := os.Stat(filepath.Join(folder, secret))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %s", secret, info.Mode())
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "postgres", "initdb.password")); err == nil {
		t.Error("the copy of the password for initdb is still there")
	}
}
