package tiers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/stores"
	"onsale/persist"
)

// plan says of how many processes a house is.
type plan struct {
	name                            string
	fronts, feeds, settlers, shards int
	partitions                      int
}

// plans are the two houses that are compared.
var plans = []plan{
	{name: "one", fronts: 1, feeds: 1, settlers: 1, shards: 1, partitions: 1},
	{name: "many", fronts: 2, feeds: 2, settlers: 2, shards: 3, partitions: 6},
}

// The tiers whose CPU time is counted.
const (
	tierFront    = "front"
	tierFeed     = "feed"
	tierSettle   = "settle"
	tierRedis    = "redis"
	tierKafka    = "kafka"
	tierPostgres = "postgres"
)

var tiers = []string{tierFront, tierRedis, tierFeed, tierKafka, tierSettle, tierPostgres}

// house is an Onsale in processes of its own, each tier in its own net of the loopback addresses
// as if on machines of its own.
type house struct {
	plan     plan
	folder   string
	admin    string
	shards   *shards
	postgres *stores.Postgres
	kafka    *bench.Server
	payment  *bench.Server
	fronts   []*bench.Server
	feeds    []*bench.Server
	settlers []*bench.Server
	clients  []*bench.Client // of the fronts
}

// address is the n-th loopback address of a tier in a house: 127.HOUSE.TIER.n, so that two
// houses and two tiers share none.
func (p plan) address(tier string, n int) string {
	house, net := 1, 1
	for i := range plans {
		if plans[i].name == p.name {
			house += i
		}
	}
	for i := range tiers {
		if tiers[i] == tier {
			net += i
		}
	}
	return fmt.Sprintf("127.%d.%d.%d", house, net, n+1)
}

// open starts a house with room for so many watchers.
func open(ctx context.Context, p plan, cfg Config) (h *house, err error) {
	cfg.Status = worthSaying{cfg.Status}
	h = &house{plan: p, folder: filepath.Join(os.TempDir(), "onsale-tiers-"+rand.Text()), admin: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("house %s: %w", p.name, err), h.close())
		}
	}()
	if err := os.Mkdir(h.folder, 0o711); err != nil { // Postgres's user passes through it
		return h, err
	}
	env, err := h.openStores(ctx, cfg.Status)
	if err != nil {
		return h, err
	}
	return h, h.openRoles(ctx, cfg, env)
}

// openStores starts what keeps things, and returns the settings of who uses it.
func (h *house) openStores(ctx context.Context, status io.Writer) (env []string, err error) {
	hosts := make([]string, h.plan.shards)
	for i := range hosts {
		hosts[i] = h.plan.address(tierRedis, i)
	}
	if h.shards, err = startShards(ctx, filepath.Join(h.folder, "redis"), hosts); err != nil {
		return nil, err
	}
	h.postgres = stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(h.folder, "postgres"), Log: slog.New(slog.DiscardHandler)})
	if err := h.postgres.Start(ctx); err != nil {
		return nil, err
	}
	if err := persist.Migrate(ctx, h.postgres.URL()); err != nil {
		return nil, err
	}
	if h.kafka, err = bench.StartServer(ctx, "Kafka", status, nil, bench.Broker(filepath.Join(h.folder, "kafka"), "")...); err != nil {
		return nil, err
	}
	return []string{ // which not everybody can read, as a command line
		"ONSALE_REDIS=" + h.shards.url(), "ONSALE_POSTGRES=" + h.postgres.URL(), "ONSALE_KAFKA=" + h.seed(),
		"ONSALE_SECRET=" + rand.Text() + rand.Text(), "ONSALE_ADMIN_TOKEN=" + h.admin,
	}, nil
}

func (h *house) seed() string { return strings.TrimPrefix(h.kafka.URL, "http://") }

// openRoles starts the roles, the front first: it makes the topics.
func (h *house) openRoles(ctx context.Context, cfg Config, env []string) (err error) {
	start := func(name string, n int, tier, role string, more ...string) (*bench.Server, error) {
		listen := h.plan.address(tier, n) + ":0"
		return bench.StartRole(ctx, fmt.Sprintf("%s %d", name, n+1), cfg.Status, env, append([]string{role, "--listen", listen}, more...)...)
	}
	if h.payment, err = bench.StartRole(ctx, "paysim", cfg.Status, env, "paysim", "--listen", "127.0.0.1:0"); err != nil {
		return err
	}
	env = append(env, "ONSALE_PAYMENTS="+h.payment.URL, "ONSALE_PARTITIONS="+strconv.Itoa(h.plan.partitions))
	for _, t := range []struct {
		tier, role string
		n          int
		more       []string
		into       *[]*bench.Server
	}{
		{tierFront, "serve", h.plan.fronts, []string{"--max-feeds", "1"}, &h.fronts},
		{tierFeed, "feed", h.plan.feeds, []string{"--max-feeds", strconv.Itoa(cfg.Watchers + 10)}, &h.feeds},
		{tierSettle, "settle", h.plan.settlers, nil, &h.settlers},
	} {
		for n := range t.n {
			s, err := start(t.tier, n, t.tier, t.role, t.more...)
			if err != nil {
				return err
			}
			*t.into = append(*t.into, s)
		}
	}
	for _, s := range h.fronts {
		client, err := bench.NewClient(s.URL)
		if err != nil {
			return err
		}
		h.clients = append(h.clients, client)
	}
	return nil
}

// operate asks a front as the operator.
func (h *house) operate(front int, method, path string, body, into any) error {
	return h.clients[front].Send(bench.Ask{Method: method, Path: path, Token: h.admin, Body: body}, into)
}

// view is what a front shows of an event.
func (h *house) view(front int, event onsale.EventID) (*onsale.FeedSnapshot, error) {
	v := new(onsale.FeedSnapshot)
	return v, h.operate(front, "GET", "/v1/events/"+string(event)+"/availability", nil, v)
}

// spent is the CPU time that each process has used, by tier.
type spent map[string][]time.Duration

func (h *house) spent() spent {
	of := func(servers ...*bench.Server) (each []time.Duration) {
		for _, s := range servers {
			each = append(each, s.CPU())
		}
		return each
	}
	return spent{tierFront: of(h.fronts...), tierFeed: of(h.feeds...), tierSettle: of(h.settlers...), tierRedis: h.shards.cpu(),
		tierKafka: of(h.kafka), tierPostgres: {bench.CPUOf(h.postgres.PID())}}
}

// since is what was spent after an earlier look.
func (s spent) since(before spent) spent {
	more := spent{}
	for tier, each := range s {
		for i, used := range each {
			more[tier] = append(more[tier], used-before[tier][i])
		}
	}
	return more
}

// close ends every process and removes what they kept.
func (h *house) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	var errs []error
	for _, c := range h.clients {
		c.Close()
	}
	servers := append(append(append([]*bench.Server{}, h.feeds...), h.fronts...), h.settlers...)
	for _, s := range append(servers, h.payment, h.kafka) {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	if h.postgres != nil {
		errs = append(errs, h.postgres.Stop(ctx))
	}
	if h.shards != nil {
		errs = append(errs, h.shards.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(h.folder))...)
}

// worthSaying passes on what the roles warn of, but for the first laying of an event's stock, of which the
// bench is the cause.
type worthSaying struct{ io.Writer }

// Write implements io.Writer; each call is a line.
func (w worthSaying) Write(line []byte) (int, error) {
	if strings.Contains(string(line), `msg="stock is laid"`) {
		return len(line), nil
	}
	return w.Writer.Write(line)
}
