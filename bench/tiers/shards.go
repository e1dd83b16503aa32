package tiers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/bench"
	"onsale/internal/leash"
	"onsale/internal/stores"
)

const (
	clusterSlots = 16_384
	// clusterWithin is how long the masters may take until they agree who has which slots.
	clusterWithin = time.Minute
	// clusterTimeout is how long a master is silent before it counts as failed, in milliseconds: longer
	// than a busy machine leaves it without a turn.
	clusterTimeout = 15_000
	pollEvery      = 50 * time.Millisecond
)

// shards is a Redis Cluster of masters only, each at a loopback address of its own. They have
// the slots in equal parts, in order.
type shards struct {
	folder   string
	password string
	masters  []*master
}

// master is one of them.
type master struct {
	host   string
	port   int
	bus    int // the port where it talks to the others
	pid    int
	ended  <-chan error
	client rueidis.Client // of this one alone
}

// startShards returns when the cluster serves every slot.
func startShards(ctx context.Context, folder string, hosts []string) (s *shards, err error) {
	s = &shards{folder: folder, password: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	binary, err := stores.RedisBinary("")
	if err != nil {
		return s, err
	}
	for i, host := range hosts {
		m, err := s.start(ctx, binary, i, host)
		if m != nil {
			s.masters = append(s.masters, m)
		}
		if err != nil {
			return s, fmt.Errorf("redis at %s: %w", host, err)
		}
	}
	return s, s.join(ctx)
}

// start starts one master and returns when it answers.
func (s *shards) start(ctx context.Context, binary string, i int, host string) (*master, error) {
	port, err := freePort(ctx, host)
	if err != nil {
		return nil, err
	}
	bus, err := freePort(ctx, host)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(s.folder, strconv.Itoa(i))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	conf := filepath.Join(folder, "redis.conf") // a file and not arguments, for the password
	if err := os.WriteFile(conf, []byte(strings.Join([]string{
		"bind " + host, "port " + strconv.Itoa(port), "cluster-port " + strconv.Itoa(bus), "cluster-announce-ip " + host,
		"requirepass " + s.password, "masterauth " + s.password, "dir " + strconv.Quote(folder), `save ""`, "appendonly no",
		"maxmemory-policy noeviction", "cluster-enabled yes", "cluster-node-timeout " + strconv.Itoa(clusterTimeout),
		"logfile redis.log", "",
	}, "\n")), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who then stop it
	m := &master{host: host, port: port, bus: bus}
	if m.ended, err = leash.Start(cmd, syscall.SIGKILL); err != nil {
		return nil, err
	}
	m.pid = cmd.Process.Pid
	return m, until(ctx, clusterWithin, "redis answers", func() (bool, error) {
		if m.client == nil {
			m.client, _ = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{m.address()}, Password: s.password,
				ForceSingleClient: true, DisableCache: true}) // nil until it listens
		}
		return m.client != nil && m.client.Do(ctx, m.client.B().Ping().Build()).Error() == nil, nil
	})
}

func (m *master) address() string { return net.JoinHostPort(m.host, strconv.Itoa(m.port)) }

// ask sends a command that answers with a text.
func (m *master) ask(ctx context.Context, words ...string) (string, error) {
	text, err := m.client.Do(ctx, m.client.B().Arbitrary(words...).Build()).ToString()
	if err != nil {
		return "", fmt.Errorf("redis at %s: %s: %w", m.host, words[0], err)
	}
	return text, nil
}

// join makes one cluster of the masters.
func (s *shards) join(ctx context.Context) error {
	n := len(s.masters)
	for i, m := range s.masters {
		_, epochErr := m.ask(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		_, slotsErr := m.ask(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*clusterSlots/n), strconv.Itoa((i+1)*clusterSlots/n-1))
		if err := errors.Join(epochErr, slotsErr); err != nil {
			return err
		}
	}
	for _, m := range s.masters[1:] {
		if _, err := s.masters[0].ask(ctx, "CLUSTER", "MEET", m.host, strconv.Itoa(m.port), strconv.Itoa(m.bus)); err != nil {
			return err
		}
	}
	known := "cluster_known_nodes:" + strconv.Itoa(n) + "\r\n"
	return until(ctx, clusterWithin, "the cluster is whole", func() (bool, error) {
		for _, m := range s.masters {
			info, err := m.ask(ctx, "CLUSTER", "INFO")
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, known) {
				return false, err
			}
		}
		return true, nil
	})
}

// url is the address of all, in the form of --redis.
func (s *shards) url() string {
	hosts := make([]string, len(s.masters))
	for i, m := range s.masters {
		hosts[i] = m.address()
	}
	return "redis://:" + s.password + "@" + strings.Join(hosts, ",")
}

// books counts an event's books on each master, and the holds that are in them.
func (s *shards) books(ctx context.Context, event onsale.EventID) (books, holds []float64, err error) {
	books, holds = make([]float64, len(s.masters)), make([]float64, len(s.masters))
	for i, m := range s.masters {
		for _, pattern := range []string{"*{" + string(event) + "}:holds", "*{" + string(event) + "/*}:holds"} {
			keys, err := m.client.Do(ctx, m.client.B().Keys().Pattern(pattern).Build()).AsStrSlice()
			if err != nil {
				return nil, nil, fmt.Errorf("redis at %s: list the books: %w", m.host, err)
			}
			for _, key := range keys {
				n, err := m.client.Do(ctx, m.client.B().Hlen().Key(key).Build()).AsInt64()
				if err != nil {
					return nil, nil, fmt.Errorf("redis at %s: count the holds: %w", m.host, err)
				}
				books[i], holds[i] = books[i]+1, holds[i]+float64(n)
			}
		}
	}
	return books, holds, nil
}

// used is the memory that is in use, in bytes.
func (m *master) used(ctx context.Context) (float64, error) {
	info, err := m.ask(ctx, "INFO", "memory")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
			return strconv.ParseFloat(text, 64)
		}
	}
	return 0, fmt.Errorf("redis at %s does not say how much memory it uses", m.host)
}

// cpu is the CPU time of each of them.
func (s *shards) cpu() (each []time.Duration) {
	for _, m := range s.masters {
		each = append(each, bench.CPUOf(m.pid))
	}
	return each
}

// stop ends every master at once: they have nothing to keep.
func (s *shards) stop() error {
	var errs []error
	for _, m := range s.masters {
		if m.client != nil {
			m.client.Close()
		}
		if m.ended == nil {
			continue
		}
		if err := syscall.Kill(m.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("end redis at %s: %w", m.host, err))
		}
		<-m.ended //nolint:errcheck // by our signal
	}
	return errors.Join(errs...)
}

// freePort is a port of a loopback address that nobody listened on a moment ago.
func freePort(ctx context.Context, host string) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port at %s (all of 127.0.0.0/8 must be this machine, as on Linux): %w", host, err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// until looks again and again until something is so.
func until(ctx context.Context, within time.Duration, what string, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		so, err := look()
		if so {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("until %s: %w", what, ctx.Err()), err)
		}
	}
}
