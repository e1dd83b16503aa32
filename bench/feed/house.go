package feed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/lifecycle"
	"onsale/internal/stores"
	"onsale/persist"
)

const (
	anyPort = "127.0.0.1:0"
	// standRows × standSeats seats are in each of stands: a snapshot of 12 KB.
	stands, standRows, standSeats = 4, 50, 60
	// holdSeconds is the longest there is, longer than most runs: hardly anything moves that the bench hasn't moved.
	holdSeconds = 1800
)

// house is an Onsale whose feed is processes of its own, with one event on sale.
type house struct {
	folder  string
	stores  lifecycle.Chain
	servers []*bench.Server // all but the feeds: Kafka, payment, front; stopped in reverse
	front   *bench.Client
	admin   string
	env     []string
	event   *onsale.Event
	fleet   *fleet
}

// openHouse starts everything, with room for so many feeds in so many processes.
func openHouse(ctx context.Context, cfg Config) (h *house, err error) {
	h = &house{folder: filepath.Join(os.TempDir(), "onsale-feed-"+rand.Text()), admin: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	redis := stores.NewRedis(stores.RedisConfig{Folder: filepath.Join(h.folder, "redis"), Log: quiet})
	postgres := stores.NewPostgres(stores.PostgresConfig{Folder: filepath.Join(h.folder, "postgres"), Log: quiet})
	h.stores.Parts = []lifecycle.Part{redis, postgres}
	if err := h.stores.Start(ctx); err != nil {
		return h, err
	}
	if redis.Embedded() {
		return h, errors.New("there is no redis-server: install it (apt install redis-server)")
	}
	if err := persist.Migrate(ctx, postgres.URL()); err != nil {
		return h, err
	}
	kafka, err := bench.StartServer(ctx, "Kafka", cfg.Status, nil, bench.Broker(filepath.Join(h.folder, "kafka"), "")...)
	if err != nil {
		return h, err
	}
	h.servers = append(h.servers, kafka)
	h.env = []string{ // which not everybody can read, as a command line
		"ONSALE_REDIS=" + redis.URL(), "ONSALE_POSTGRES=" + postgres.URL(), "ONSALE_KAFKA=" + strings.TrimPrefix(kafka.URL, "http://"),
		"ONSALE_SECRET=" + rand.Text() + rand.Text(), "ONSALE_ADMIN_TOKEN=" + h.admin,
	}
	payment, err := h.role(ctx, cfg.Status, "paysim")
	if err != nil {
		return h, err
	}
	h.env = append(h.env, "ONSALE_PAYMENTS="+payment.URL)
	front, err := h.role(ctx, cfg.Status, "serve", "--max-feeds", "1")
	if err != nil {
		return h, err
	}
	if h.front, err = bench.NewClient(front.URL); err != nil {
		return h, err
	}
	if err := h.openSale(); err != nil {
		return h, err
	}
	h.fleet, err = startFleet(ctx, cfg, h.env)
	return h, err
}

// role starts a role that is one process.
func (h *house) role(ctx context.Context, status io.Writer, name string, more ...string) (*bench.Server, error) {
	s, err := bench.StartRole(ctx, name, status, h.env, append([]string{name, "--listen", anyPort}, more...)...)
	if err == nil {
		h.servers = append(h.servers, s)
	}
	return s, err
}

// openSale creates an event with more than can be held in a run, and opens it.
func (h *house) openSale() error {
	h.event = &onsale.Event{
		ID: "feed-" + onsale.EventID(strings.ToLower(rand.Text()[:8])), Name: "Feed", Currency: "EUR",
		StartsAt:    time.Now().UTC().AddDate(0, 1, 0).Truncate(time.Hour),
		HoldSeconds: holdSeconds, MaxPerBuyer: onsale.MaxPerBuyer, HoldsPerMinute: 100 * onsale.MaxPerBuyer,
		Sections: []onsale.Section{{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4_900, Capacity: onsale.MaxCapacity}},
	}
	for n := range stands {
		h.event.Sections = append(h.event.Sections, onsale.Section{ID: standID(n), Name: fmt.Sprintf("Stand %d", n+1),
			Kind: onsale.Reserved, Price: 7_900, Grid: &onsale.Grid{Rows: standRows, Seats: standSeats}})
	}
	return errors.Join(h.operate("POST", "/v1/admin/events", h.event, nil),
		h.operate("POST", "/v1/admin/events/"+string(h.event.ID)+"/open", nil, nil))
}

func standID(n int) string { return fmt.Sprintf("stand-%d", n+1) }

// operate asks as the operator.
func (h *house) operate(method, path string, body, into any) error {
	return h.front.Send(bench.Ask{Method: method, Path: path, Token: h.admin, Body: body}, into)
}

// view is what the server shows of the event now.
func (h *house) view() (*onsale.FeedSnapshot, error) {
	v := new(onsale.FeedSnapshot)
	return v, h.operate("GET", "/v1/events/"+string(h.event.ID)+"/availability", nil, v)
}

// audit has the event audited.
func (h *house) audit() (*onsale.AuditReport, error) {
	r := new(onsale.AuditReport)
	return r, h.operate("GET", "/v1/admin/events/"+string(h.event.ID)+"/audit", nil, r)
}

// close ends every process and removes what they kept.
func (h *house) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	var errs []error
	if h.fleet != nil {
		errs = append(errs, h.fleet.stop())
	}
	if h.front != nil {
		h.front.Close()
	}
	for i := len(h.servers) - 1; i >= 0; i-- {
		errs = append(errs, h.servers[i].Stop())
	}
	return errors.Join(append(errs, h.stores.Stop(ctx), os.RemoveAll(h.folder))...)
}
