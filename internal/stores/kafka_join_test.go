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
	"github.com/twmb/franz-go/pkg/kmsg"

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

// member is one of a group's, by hand: it does nothing by itself.
type member struct {
	*kgo.Client
	id string
}

const sessionTime = 6 * time.Second // the shortest that the broker takes

// enter makes itself known to the group; join is what makes it a member.
func enter(t *testing.T, k *stores.Kafka, options ...kgo.Opt) *member {
	t.Helper()
	cl, err := kgo.NewClient(append(options, kgo.SeedBrokers(k.Seeds()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	m := &member{Client: cl}
	response, err := m.join(t.Context())
	if err != nil || response.MemberID == "" {
		t.Fatalf("%v, %+v", err, response)
	}
	m.id = response.MemberID
	return m
}

// join returns when the group's other members have joined, too.
func (m *member) join(ctx context.Context) (*kmsg.JoinGroupResponse, error) {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = "g", m.id, "consumer"
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(sessionTime.Milliseconds()), int32(patience.Milliseconds())
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	r.Protocols = append(r.Protocols, protocol)
	return r.RequestWith(ctx, m)
}

// settle takes part in what the group has agreed on; beat says that it lives.
func (m *member) settle(t *testing.T, generation int32) {
	t.Helper()
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = "g", m.id, generation
	if response, err := r.RequestWith(t.Context(), m); err != nil || response.ErrorCode != 0 {
		t.Fatalf("%v, %+v", err, response)
	}
}

func (m *member) beat(t *testing.T, generation int32) {
	t.Helper()
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.Generation = "g", m.id, generation
	if _, err := r.RequestWith(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestAMemberKilledWhileItWaitsToJoinIsTimedOut(t *testing.T) {
	t.Parallel()
	k := stores.NewKafka(stores.KafkaConfig{Folder: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	start(t, k)
	leader := enter(t, k)
	first, err := leader.join(t.Context())
	if err != nil || first.ErrorCode != 0 {
		t.Fatalf("%v, %+v", err, first)
	}
	leader.settle(t, first.Generation)
	members := func() (string, int) {
		described, err := kadm.NewClient(leader.Client).DescribeGroups(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		return described["g"].State, len(described["g"].Members)
	}

	killed := &mortal{}
	other := enter(t, k, kgo.Dialer(killed.dial))
	waiting, giveUp := context.WithCancel(t.Context())
	var joining sync.WaitGroup
	joining.Go(func() { _, _ = other.join(waiting) }) // nothing comes of it
	defer joining.Wait()
	defer giveUp()
	eventually(t, "the other waits to join", func() bool {
		leader.beat(t, first.Generation)
		state, n := members()
		return state == "PreparingRebalance" && n == 2
	})
	killed.die()

	second, err := leader.join(t.Context())
	if err != nil || second.ErrorCode != 0 {
		t.Fatalf("%v, %+v", err, second)
	}
	leader.settle(t, second.Generation)
	if _, n := members(); n != 2 {
		t.Fatalf("the group has %d members: the other was not waiting", n)
	}
	eventually(t, "the dead member is gone", func() bool {
		leader.beat(t, second.Generation)
		_, n := members()
		return n == 1
	})
}
