package storestest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale/internal/stores/storestest"
)

func TestMain(m *testing.M) { storestest.Main(m) }

func TestEachTestHasANamespaceOnTheSharedRedis(t *testing.T) {
	url, mine := storestest.Redis(t)
	again, other := storestest.Redis(t)
	if url != again || mine == other {
		t.Fatalf("url %q and %q, namespace %q and %q", url, again, mine, other)
	}
	option, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Do(t.Context(), client.B().Set().Key(mine+":x").Value("1").Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		conn, err := pgx.Connect(t.Context(), storestest.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		// The database is dropped though this connection is open.
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		if _, err := conn.Exec(t.Context(), "CREATE TABLE same_name (x int)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKafkaKeepsWhatItAcknowledged(t *testing.T) {
	topic := storestest.KafkaPrefix(t) + "x"
	client, err := kgo.NewClient(kgo.SeedBrokers(storestest.Kafka(t)...),
		kgo.ConsumeTopics(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("hello")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := client.PollFetches(t.Context())
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(fetches.Records()[0].Value); got != "hello" {
		t.Fatalf("read %q", got)
	}
}

func TestPrivateRedisKeepsItsAddressOverARestart(t *testing.T) {
	r := storestest.PrivateRedis(t)
	before := r.URL()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.URL() != before {
		t.Fatalf("was at %s, is at %s", before, r.URL())
	}
}
