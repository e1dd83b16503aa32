package holds

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/internal/leash"
	"onsale/internal/stores"
)

// redisServer is a redis-server of a test's own, without a password, on loopback.
type redisServer struct {
	t     *testing.T
	port  string
	args  []string
	cmd   *exec.Cmd // nil while it is down
	ended <-chan error
}

// startRedis runs a redis-server with these arguments until the test ends.
func startRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	port := freePort(t)
	s := &redisServer{t: t, port: port, args: append(args, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "")}
	t.Cleanup(s.kill)
	s.start()
	return s
}

// freePort returns a port that nobody listened on a moment ago. It is none of those
// that systems give to outgoing connections, so it stays free while its server is down.
func freePort(t *testing.T) string {
	t.Helper()
	const first, ports, tries = 15_000, 15_000, 100
	for range tries {
		port := strconv.Itoa(first + rand.N(ports))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = l.Close() // to give the port away
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (s *redisServer) address() string { return "127.0.0.1:" + s.port }
func (s *redisServer) url() string     { return "redis://" + s.address() }

// start returns when it answers. Started again it is empty, at the same address.
func (s *redisServer) start() {
	s.t.Helper()
	binary, err := stores.RedisBinary("")
	if err != nil {
		s.t.Fatalf("%v (make test installs what the tests need)", err)
	}
	s.cmd = exec.Command(binary, s.args...)
	if s.ended, err = leash.Start(s.cmd, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server answers", func() bool { _, err := s.ask("PING"); return err == nil })
}

// kill ends it at once, if it runs.
func (s *redisServer) kill() {
	if s.cmd == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	<-s.ended //nolint:errcheck // by our signal
	s.cmd = nil
}

func (s *redisServer) signal(signal syscall.Signal) {
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
}

// ask sends one command on a connection of its own.
func (s *redisServer) ask(words ...string) (rueidis.RedisMessage, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.address()}, ForceSingleClient: true, DisableCache: true, DisableRetry: true})
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	defer c.Close()
	return c.Do(context.Background(), c.B().Arbitrary(words...).Build()).ToMessage()
}

// tell sends one command that must succeed, and returns the answer if it is a text.
func (s *redisServer) tell(words ...string) string {
	s.t.Helper()
	reply, err := s.ask(words...)
	if err != nil {
		s.t.Fatalf("%s: %v", words, err)
	}
	text, _ := reply.ToString() // an answer of another kind is nobody's question
	return text
}

// says reports whether INFO has a line.
func (s *redisServer) says(section, line string) bool {
	reply, err := s.ask("INFO", section)
	text, _ := reply.ToString() // no text has no line
	return err == nil && strings.Contains(text, line+"\r\n")
}

// listeners is how many listen to an event's deltas here.
func (s *redisServer) listeners(h *house) int64 {
	channel := newKeys(h.desk.cfg.Namespace, h.layout.Event.ID).channel
	reply, err := s.ask("PUBSUB", "SHARDNUMSUB", channel)
	if err != nil {
		return -1
	}
	words, err := reply.ToArray()
	if err != nil || len(words) != 2 {
		s.t.Fatalf("PUBSUB SHARDNUMSUB answered %v, %v", words, err)
	}
	n, err := words[1].AsInt64()
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// follow makes it a replica of another and returns when it has all of it.
func (s *redisServer) follow(master *redisServer) {
	s.t.Helper()
	s.tell("REPLICAOF", "127.0.0.1", master.port)
	s.isLinked()
}

func (s *redisServer) isLinked() {
	s.t.Helper()
	eventually(s.t, "the replica is linked to its master", func() bool { return s.says("replication", "master_link_status:up") })
}

// startSentinels runs three Sentinels that watch a master as "sale", and returns also
// the address to connect to through them.
func startSentinels(t *testing.T, master *redisServer) (all []*redisServer, url string) {
	t.Helper()
	var hosts []string
	for range 3 {
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor sale 127.0.0.1 %s 2\nsentinel down-after-milliseconds sale 500\nsentinel failover-timeout sale 3000\n", master.port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &redisServer{t: t, port: freePort(t)}
		s.args = []string{conf, "--sentinel", "--bind", "127.0.0.1", "--port", s.port}
		t.Cleanup(s.kill)
		s.start()
		hosts, all = append(hosts, s.address()), append(all, s)
	}
	for _, s := range all {
		eventually(t, "the Sentinels know each other", func() bool {
			return s.says("sentinel", "master0:name=sale,status=ok,address="+master.address()+",slaves=2,sentinels=3")
		})
	}
	return all, "redis+sentinel://" + strings.Join(hosts, ",") + "/sale"
}

// houseOn is newHouse on another Redis.
func houseOn(t *testing.T, url string, change func(*onsale.Event)) *house {
	t.Helper()
	h := newHouse(t, change)
	h.client = connect(t, url)
	cfg := h.desk.cfg
	cfg.Client = h.client
	h.desk = NewDesk(cfg)
	t.Cleanup(func() {
		if err := h.desk.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h.rebuild(testEpoch)
	return h
}
