package faults

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/bench"
	"onsale/internal/lifecycle"
	"onsale/internal/stores"
)

// house is an Onsale in many processes, each reached through cables of ours. Its
// processes are started in the order in which they need each other; a run leaves them as
// it found them, so that the next one can have the same house.
type house struct {
	binary string
	folder string
	script string // of Apache Kafka; "" for the embedded broker
	admin  string // the operator's token
	secret string

	redis    *stores.Redis
	postgres *stores.Postgres
	flusher  rueidis.Client // past the cables
	wiring   *wiring
	roles    map[Target]*process // all but the two stores
	chain    lifecycle.Chain     // the stores and the cables
}

// open starts a house in a folder that is made for it.
func open(ctx context.Context, cfg Config, script string) (_ *house, err error) {
	h := &house{binary: cfg.Binary, script: script, admin: rand.Text(), secret: rand.Text() + rand.Text(), wiring: newWiring()}
	if h.folder, err = os.MkdirTemp(cfg.Folder, "onsale-faults-"); err != nil {
		return nil, fmt.Errorf("make a folder for the house: %w", err)
	}
	if err := os.Chmod(h.folder, 0o711); err != nil { // Postgres's user passes through it
		return nil, fmt.Errorf("make a folder for the house: %w", err)
	}
	defer func() {
		if err != nil { // it says why
			err = errors.Join(err, h.close(ctx), h.remove())
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	h.redis = stores.NewRedis(stores.RedisConfig{Folder: h.at("redis"), Port: port, Log: quiet})
	h.postgres = stores.NewPostgres(stores.PostgresConfig{Folder: h.at("postgres"), Port: port + 1, Log: quiet})
	h.chain.Parts = append(h.wiring.parts(), h.redis, h.postgres)
	if err := h.chain.Start(ctx); err != nil {
		return nil, err
	}
	if h.redis.Embedded() {
		return nil, errors.New("there is no redis-server to kill: install it (apt install redis-server)")
	}
	if err := h.lead(); err != nil {
		return nil, err
	}
	if err := h.startRoles(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *house) at(name string) string { return filepath.Join(h.folder, name) }

// lead has the cables to the two stores lead there. They keep their ports.
func (h *house) lead() error {
	options, err := rueidis.ParseURL(h.redis.URL())
	if err != nil {
		return fmt.Errorf("read Redis's URL: %w", err)
	}
	options.DisableCache = true
	if h.flusher, err = rueidis.NewClient(options); err != nil {
		return fmt.Errorf("connect to Redis: %w", err)
	}
	h.wiring.lead(Redis, options.InitAddress[0])
	at, err := hostOf(h.postgres.URL())
	if err != nil {
		return err
	}
	h.wiring.lead(Postgres, at)
	return nil
}

// startRoles makes the tables and starts every process.
func (h *house) startRoles(ctx context.Context) error {
	migrate := h.self("migrate", []string{"ONSALE_POSTGRES=" + h.postgres.URL()}, "migrate")
	if err := migrate.runOnce(ctx); err != nil {
		return err
	}
	broker, err := h.broker()
	if err != nil {
		return err
	}
	webhook := "http://" + h.wiring.addr(Payment, Front) + "/v1/webhooks/payments"
	h.roles = map[Target]*process{
		Kafka: broker,
		Payment: h.self("payment", []string{"ONSALE_WEBHOOK_SECRET=" + h.secret}, "paysim", "--listen", anyPort,
			"--ledger", h.at("payments.jsonl"), "--webhook-url", webhook),
	}
	for _, role := range []struct {
		target  Target
		command string
	}{{Front, "serve"}, {Feed, "feed"}, {Settle, "settle"}} {
		env, err := h.settings(role.target)
		if err != nil {
			return err
		}
		h.roles[role.target] = h.self(string(role.target), env, role.command, "--listen", anyPort)
	}
	for _, target := range []Target{Kafka, Payment, Settle, Front, Feed} {
		p := h.roles[target]
		p.serves = func(at string) { h.wiring.lead(target, at) }
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// paymentTimeout is after how long a charge that is undecided is called off: within endWait.
const paymentTimeout = time.Minute

const anyPort = "127.0.0.1:0"

// settings are a role's, with every store at the other end of a cable of its own. In
// the environment, since everybody can read a command line.
func (h *house) settings(role Target) ([]string, error) {
	redis, errRedis := through(h.redis.URL(), h.wiring.addr(role, Redis))
	postgres, errPostgres := through(h.postgres.URL(), h.wiring.addr(role, Postgres))
	if err := errors.Join(errRedis, errPostgres); err != nil {
		return nil, err
	}
	settings := []string{
		"ONSALE_REDIS=" + redis, "ONSALE_POSTGRES=" + postgres, "ONSALE_KAFKA=" + h.wiring.addr(anybody, Kafka),
		"ONSALE_PAYMENTS=http://" + h.wiring.addr(role, Payment),
		"ONSALE_SECRET=" + h.secret, "ONSALE_WEBHOOK_SECRET=" + h.secret, "ONSALE_ADMIN_TOKEN=" + h.admin,
	}
	if role == Settle { // as little patience as may be set: what a fault leaves undecided is called off
		settings = append(settings, "ONSALE_PAYMENT_TIMEOUT="+paymentTimeout.String())
	}
	return settings, nil
}

// broker is Kafka's process. Clients are told to come to its cable, not to itself.
func (h *house) broker() (*process, error) {
	advertised := h.wiring.addr(anybody, Kafka)
	if h.script == "" {
		return h.self("kafka", nil, bench.Broker(h.at("kafka"), advertised)...), nil
	}
	script, err := filepath.Abs(h.script)
	if err != nil {
		return nil, fmt.Errorf("find the script of Apache Kafka: %w", err)
	}
	port, err := freePorts(2) // its controller listens on the next one
	if err != nil {
		return nil, err
	}
	p := h.self("kafka", nil, strconv.Itoa(port), h.at("kafka"), advertised)
	p.program = script
	return p, nil
}

// flush sends Redis a command that loses something.
func (h *house) flush(ctx context.Context, words ...string) error {
	if err := h.flusher.Do(ctx, h.flusher.B().Arbitrary(words...).Build()).Error(); err != nil {
		return fmt.Errorf("%v: %w", words, err)
	}
	return nil
}

// close ends every process. The folder stays.
func (h *house) close(ctx context.Context) error {
	var errs []error
	for _, target := range []Target{Feed, Front, Settle, Payment, Kafka} {
		if p := h.roles[target]; p != nil {
			errs = append(errs, p.stop())
		}
	}
	if h.flusher != nil {
		h.flusher.Close()
	}
	return errors.Join(append(errs, h.chain.Stop(context.WithoutCancel(ctx)))...)
}

// remove removes what a house kept.
func (h *house) remove() error { return os.RemoveAll(h.folder) }

// event is what the buyers of a run come for: more than they can buy, so that the storm
// never runs dry, held for so short that faults outlast holds.
func event(cfg Config, seed uint64) *onsale.Event {
	const rowSeats, mostRows, placesPerBuyer = 40, 100, 5
	places := int64(placesPerBuyer * cfg.Rate * cfg.Duration.Seconds())
	e := &onsale.Event{
		ID: onsale.EventID(fmt.Sprintf("faults-%d-%s", seed, strings.ToLower(rand.Text()[:8]))), Name: "Faults", Currency: "EUR",
		StartsAt: eventStart(), HoldSeconds: int(holdTimeOf(seed).Seconds()),
		Sections: []onsale.Section{{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4_900, Capacity: places / 2}},
	}
	for rows := int(places/2)/rowSeats + 1; rows > 0; rows -= mostRows {
		n := len(e.Sections)
		e.Sections = append(e.Sections, onsale.Section{ID: fmt.Sprintf("stand-%d", n), Name: fmt.Sprintf("Stand %d", n),
			Kind: onsale.Reserved, Price: 7_900, Grid: &onsale.Grid{Rows: min(rows, mostRows), Seats: rowSeats}})
	}
	return e
}
