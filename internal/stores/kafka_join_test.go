package stores_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale/internal/stores"
)

// mortal dials connections that end all at once, as those of a killed process do.
type mortal struct {
	mu    sync.Mutex
	conns []net.Conn // under mu
	dead  bool       // under mu
}

func (m *mortal) dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errors.New("it was killed")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		m.conns = append(m.conns, conn)
	}
	return conn, err
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, conn := range m.conns {
		_ = conn.Close()
	}
}

func TestAMemberKilledWhileItWaitsToJoinIsTimedOut(t *testing.T) {
	t.Parallel()
	k := stores.NewKafka(stores.KafkaConfig{Folder: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	start(t, k)
	member := func(more ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{
			kgo.SeedBrokers(k.Seeds()...), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.BlockRebalanceOnPoll(),
			kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond),
		}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.CloseAllowingRebalance)
		return cl
	}
	staying := member()
	admin := kadm.NewClient(staying)
	if _, err := admin.CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := staying.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// Who works holds up the rebalance, and with it the answer to whoever wants to join.
	if fetches := staying.PollFetches(t.Context()); fetches.Err() != nil {
		t.Fatal(fetches.Err())
	}
	group := func() kadm.DescribedGroup {
		described, err := admin.DescribeGroups(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		return described["g"]
	}
	killed := &mortal{}
	go member(kgo.Dialer(killed.dial)).PollFetches(t.Context()) // nothing comes of it
	eventually(t, "the other waits to join", func() bool { return group().State == "PreparingRebalance" && len(group().Members) == 2 })
	killed.die()
	staying.AllowRebalance()
	polling, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for polling.Err() == nil {
			staying.PollFetches(polling)
			staying.AllowRebalance()
		}
	}()
	eventually(t, "the dead member is gone", func() bool { return group().State == "Stable" && len(group().Members) == 1 })
}
