package stores_test

import (
	"log/slog"
	"net/url"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"

	"onsale/internal/stores"
)

func connect(t *testing.T, url string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	return conn.Close(t.Context())
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestMissingRedisIsReplacedByAnEmbeddedOne(t *testing.T) {
	t.Cleanup(stores.HideRedis())
	t.Setenv("PATH", t.TempDir())
	t.Setenv(stores.RedisBinaryVariable, "")
	r := stores.NewRedis(stores.RedisConfig{Folder: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	start(t, r)
	if !r.Embedded() || r.PID() != 0 {
		t.Fatal("no one can tell that it is no measure")
	}
	second := stores.NewRedis(stores.RedisConfig{Folder: t.TempDir(), Port: portOf(t, r.URL()), Log: slog.New(slog.DiscardHandler)})
	wantRefusal(t, second.Start(t.Context()), "in use: choose another one")
	option, err := rueidis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	script := rueidis.NewLuaScript(`redis.call('SET', KEYS[1], ARGV[1], 'PX', 200) return redis.call('GET', KEYS[1])`)
	if got, err := script.Exec(t.Context(), client, []string{"k"}, []string{"v"}).ToString(); err != nil || got != "v" {
		t.Fatalf("script: %q, %v", got, err)
	}
	eventually(t, "the key expires by itself", func() bool {
		return rueidis.IsRedisNil(client.Do(t.Context(), client.B().Get().Key("k").Build()).Error())
	})
}
