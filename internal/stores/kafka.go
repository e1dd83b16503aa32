package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaConfig is how an embedded Kafka runs.
type KafkaConfig struct {
	Folder string // where everything of it is; made if need be
	Port   int    // on loopback; 0: a free one, the same at every Start
	// Advertise is the host:port that clients are told to come to, where that is not the
	// broker's own, but leads to it. Default: its own.
	Advertise string
	Log       *slog.Logger // default: slog.Default()
}

// Kafka is a broker in our own process: one node, so what it acknowledges has
// one copy. An acknowledged record and a committed offset are in the kernel's
// hands: they survive our kill -9, but a power cut can take the last of them.
// It is a lifecycle.Part, and may be started again after Stop.
type Kafka struct {
	cfg KafkaConfig

	mu      sync.Mutex
	port    int            // under mu; once chosen it stays
	cluster *kfake.Cluster // under mu; nil unless it runs
}

// never is for what the embedded broker must not do by itself.
const never = 10 * 365 * 24 * time.Hour

// NewKafka returns a Kafka that is not running yet.
func NewKafka(cfg KafkaConfig) *Kafka {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Kafka{cfg: cfg, port: cfg.Port}
}

// Start returns when the broker listens and has read what is in its folder.
func (k *Kafka) Start(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster != nil {
		return nil
	}
	folder, err := filepath.Abs(k.cfg.Folder)
	if err != nil {
		return fmt.Errorf("kafka: find the data folder: %w", err)
	}
	if err := makePrivateFolder(folder); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	k.port, err = onPort(k.port, func(port int) error { return k.listen(folder, port) })
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// makePrivateFolder makes a folder that nobody else can look into, or makes it so:
// kfake's files, which are every buyer's orders, can be read by all.
func makePrivateFolder(folder string) error {
	const onlyWe = 0o700
	if err := os.MkdirAll(folder, onlyWe); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.Chmod(folder, onlyWe); err != nil {
		return fmt.Errorf("close the data folder to others: %w", err)
	}
	return nil
}

func (k *Kafka) listen(folder string, port int) error {
	cluster, err := kfake.NewCluster(
		kfake.Ports(port), // one port: one broker
		kfake.DataDir(folder),
		kfake.ListenFn(k.listenFn),
		kfake.WithLogger(kafkaLog{k.cfg.Log}),
		kfake.BrokerConfigs(map[string]string{
			// kfake compacts a partition by deleting it and writing it anew: a
			// kill in between would lose it. It grows instead.
			"log.cleaner.backoff.ms": milliseconds(never),
			// Who comes back from a holiday must not settle everything again.
			"offsets.retention.minutes": strconv.Itoa(int(never.Minutes())),
		}),
	)
	if errors.Is(err, syscall.EADDRINUSE) {
		return errPortInUse
	}
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	k.cluster = cluster
	return nil
}

// listenFn listens, and says that it does so at the address that is advertised: that
// is where the broker tells its clients to come.
func (k *Kafka) listenFn(network, address string) (net.Listener, error) {
	inner, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if k.cfg.Advertise == "" {
		return joinable{inner}, nil
	}
	at, err := net.ResolveTCPAddr(network, k.cfg.Advertise)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the address to advertise: %w", err), inner.Close())
	}
	return advertised{joinable{inner}, at}, nil
}

// advertised is a listener that is known under another address.
type advertised struct {
	net.Listener
	at *net.TCPAddr
}

// Addr implements net.Listener.
func (a advertised) Addr() net.Addr { return a.at }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Stop writes everything to disk and closes every connection. It returns an
// error if ctx ends before that.
func (k *Kafka) Stop(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	cluster := k.cluster
	if cluster == nil {
		return nil
	}
	k.cluster = nil
	closed := make(chan struct{})
	go func() { cluster.Close(); close(closed) }()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kafka: still writing to %s: %w", k.cfg.Folder, ctx.Err())
	}
}

// Seeds are the addresses a client starts with. Valid after Start.
func (k *Kafka) Seeds() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return []string{address(k.port)}
}

// kafkaLog passes on what the broker complains of.
type kafkaLog struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("kafka: " + fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn("kafka: " + fmt.Sprintf(format, args...))
	}
}
