package checkout

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/internal/leash"
	"onsale/internal/stores"
)

// shards is a Redis Cluster of masters, without replicas.
type shards struct {
	t       *testing.T
	ports   []string
	servers []*exec.Cmd
}

const (
	clusterSlots = 16_384
	// shardSilence is how long a shard may be silent before the others take it for dead, in
	// ms: longer than any test.
	shardSilence = "600000"
)

// startShards runs a cluster until the test ends.
func startShards(t *testing.T, n int) *shards {
	t.Helper()
	s := &shards{t: t}
	binary, err := stores.RedisBinary("")
	if err != nil {
		t.Fatalf("%v (make test installs what the tests need)", err)
	}
	var buses []string
	for range n {
		port, bus := freePort(t), freePort(t)
		cmd := exec.Command(binary, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--cluster-enabled", "yes",
			"--cluster-port", bus, "--cluster-node-timeout", shardSilence)
		ended, err := leash.Start(cmd, syscall.SIGKILL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // a server that has ended is as good
			<-ended                //nolint:errcheck // by our signal
		})
		s.ports, s.servers, buses = append(s.ports, port), append(s.servers, cmd), append(buses, bus)
		eventually(t, "a shard answers", func() bool { _, err := s.ask(len(s.ports)-1, "PING"); return err == nil })
	}
	for i := range s.ports {
		s.tell(i, "CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		s.tell(i, "CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*clusterSlots/n), fmt.Sprint((i+1)*clusterSlots/n-1))
		if i > 0 {
			s.tell(0, "CLUSTER", "MEET", "127.0.0.1", s.ports[i], buses[i])
		}
	}
	eventually(t, "the cluster is whole", func() bool {
		for i := range s.ports {
			if info := s.tell(i, "CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n)) {
				return false
			}
		}
		return true
	})
	return s
}

// freePort returns a port that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // to give the port away
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (s *shards) url() string {
	return "redis://127.0.0.1:" + strings.Join(s.ports, ",127.0.0.1:")
}

func (s *shards) ask(shard int, words ...string) (rueidis.RedisMessage, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + s.ports[shard]}, ForceSingleClient: true, DisableCache: true, DisableRetry: true})
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	defer c.Close()
	return c.Do(s.t.Context(), c.B().Arbitrary(words...).Build()).ToMessage()
}

// tell sends a command that must succeed, and returns the answer if it is a text.
func (s *shards) tell(shard int, words ...string) string {
	s.t.Helper()
	reply, err := s.ask(shard, words...)
	if err != nil {
		s.t.Fatalf("%s: %v", words, err)
	}
	text, _ := reply.ToString() // an answer of another kind is nobody's question
	return text
}

// event returns the name of an event that a shard has.
func (s *shards) event(shard int) onsale.EventID {
	s.t.Helper()
	for i := 0; ; i++ {
		id := onsale.EventID(fmt.Sprintf("concert-%d", i))
		reply, err := s.ask(0, "CLUSTER", "KEYSLOT", "{"+string(id)+"}")
		if err != nil {
			s.t.Fatal(err)
		}
		slot, err := reply.AsInt64()
		if err != nil {
			s.t.Fatal(err)
		}
		if int(slot)*len(s.ports)/clusterSlots == shard {
			return id
		}
	}
}

// signal reaches a shard's process.
func (s *shards) signal(shard int, signal syscall.Signal) {
	s.t.Helper()
	if err := s.servers[shard].Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

func TestKafkasNewsOfADeadShardHoldUpItsOwnEventsOnly(t *testing.T) {
	t.Parallel()
	cluster := startShards(t, 3)
	dead, sane := cluster.event(0), cluster.event(2)
	s := &teller{hall: newHallOn(t, cluster.url(), "onsale", sane, dead), line: newLine(t), t: t}
	recovery := newPatrolOf(s.hall)
	away := make([]onsale.Hold, 4)
	for i := range away {
		away[i] = s.hold(s.layouts[dead], alice, floor(2))
		if _, err := s.desk.Pin(t.Context(), s.layouts[dead], away[i].ID, alice, 0); err != nil {
			t.Fatal(err)
		}
		recovery.order(away[i], onsale.OrderPaid)
	}
	s.follow(s.find)
	cluster.signal(0, syscall.SIGSTOP)
	for _, silent := range away {
		hold := s.pin(bob)
		s.tell(news(silent, onsale.OrderTicketed), news(hold, onsale.OrderTicketed))
		recovery.order(hold, onsale.OrderPaid)
		eventually(t, "the news of a shard that answers are heard", func() bool { return s.look(hold).State == onsale.HoldSold })
	}
	recovery.cfg.Events = func() []*onsale.Layout { return []*onsale.Layout{s.layouts[dead], s.layout} }
	orphan, ended := s.pin(bob), make(chan error, 1)
	go func() { ended <- recovery.round(t.Context()) }()
	eventually(t, "its orphans are freed", func() bool { return s.look(orphan).State == onsale.HoldReleased })
	cluster.signal(0, syscall.SIGCONT)
	<-ended //nolint:errcheck // what it could not reach then is not this test's
	s.heard()
	for _, hold := range away {
		s.wantState(hold, onsale.HoldSold)
	}
	s.wantFloor(onsale.Counts{Available: 16, Sold: 4})
	s.layout = s.layouts[dead]
	s.wantFloor(onsale.Counts{Available: 12, Sold: 8})
}
