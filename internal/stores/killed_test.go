package stores_test

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

// TestKilledParentTakesItsServersAlongAndLosesNothing is one test because all of
// it needs one parent, killed once.
func TestKilledParentTakesItsServersAlongAndLosesNothing(t *testing.T) {
	folder := storestest.Folder(t)
	servers, kill := startParent(t, folder)
	t.Cleanup(func() {
		for _, pid := range []int{servers.RedisPID, servers.PostgresPID} {
			if alive(pid) { // only if the promise is broken
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})

	if err := redisDo(t, servers.Redis, "SET", "kept", "yes"); err != nil {
		t.Fatal(err)
	}
	query(t, servers.Postgres, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)")
	produceThreeCommitTwo(t, servers.Kafka)
	if _, err := stores.Lock(folder); err == nil {
		t.Fatal("locked a folder that another process has")
	}

	kill()
	eventually(t, "redis-server ends with its parent", func() bool { return !alive(servers.RedisPID) })
	eventually(t, "postgres ends with its parent", func() bool { return !alive(servers.PostgresPID) })

	lock, err := stores.Lock(folder)
	if err != nil {
		t.Fatal("the lock outlived its owner: ", err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
	r, p, k := redisIn(folder), postgresIn(folder), kafkaIn(folder)
	start(t, r)
	start(t, p)
	start(t, k)
	if err := redisDo(t, r.URL(), "GET", "kept"); err != nil {
		t.Error("the key is lost: ", err)
	}
	query(t, p.URL(), "SELECT 1 / count(*) FROM kept WHERE x = 42") // fails if there is none
	if left := consume(t, k.Seeds()); len(left) != 1 || left[0] != "three" {
		t.Errorf("left after two commits of three records: %q", left)
	}
}

func TestStopReturnsWhenTheServerHasEndedAndKeepsItsData(t *testing.T) {
	folder := storestest.Folder(t)
	p := postgresIn(folder)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	query(t, p.URL(), "CREATE TABLE kept (x int)")
	pid := p.PID()
	for range 2 {
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if alive(pid) {
		t.Fatal("Stop returned before the server had ended")
	}
	select {
	case err := <-p.Exited():
		t.Fatal("an end that was asked for is reported: ", err)
	default:
	}
	again := postgresIn(folder)
	start(t, again)
	query(t, again.URL(), "SELECT * FROM kept")
}

func TestServerThatDiesIsReportedAndStartsAgain(t *testing.T) {
	r, p := storestest.PrivateRedis(t), storestest.PrivatePostgres(t)
	query(t, p.URL(), "CREATE TABLE kept (x int)")
	for _, server := range []struct {
		name   string
		pid    int
		exited <-chan error
		start  func(context.Context) error
	}{
		{"redis-server", r.PID(), r.Exited(), r.Start},
		{"postgres", p.PID(), p.Exited(), p.Start},
	} {
		if err := syscall.Kill(server.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		err := <-server.exited
		for _, want := range []string{server.name, "killed", ".log ends with"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q doesn't say %q", err, want)
			}
		}
		if err := server.start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	query(t, p.URL(), "SELECT * FROM kept")
	if err := redisDo(t, r.URL(), "PING"); err != nil {
		t.Fatal(err)
	}
}

func TestKafkaComesBackWhereItWas(t *testing.T) {
	k := storestest.PrivateKafka(t)
	before := k.Seeds()
	produceThreeCommitTwo(t, before)
	for range 2 {
		if err := k.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := consume(t, before); len(left) != 1 || left[0] != "three" {
		t.Errorf("left after two commits of three records: %q", left)
	}
}

func TestCtrlCReachesUsAlone(t *testing.T) {
	r := storestest.PrivateRedis(t)
	group, err := syscall.Getpgid(r.PID())
	if err != nil {
		t.Fatal(err)
	}
	if group == syscall.Getpgrp() {
		t.Fatal("the server is in our process group: a terminal's Ctrl-C would stop it")
	}
}

func redisDo(t *testing.T, url string, command ...string) error {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Do(t.Context(), client.B().Arbitrary(command...).Build()).Error()
}

func query(t *testing.T, url, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.PgConn().Exec(t.Context(), statements).ReadAll()
	if err != nil {
		t.Errorf("%s: %v", statements, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

const topic, group = "kept", "readers"

func produceThreeCommitTwo(t *testing.T, seeds []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"one", "two", "three"} {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	offsets := kadm.OffsetsFromFetches(kgo.Fetches{})
	offsets.AddOffset(topic, 0, 2, -1)
	if err := admin.CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}

// consume returns what the group has yet to read.
func consume(t *testing.T, seeds []string) (values []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	return values
}
