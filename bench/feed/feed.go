// Package feed measures the live feed: very many browsers on a small machine, each a real
// socket, against the least that could tell them all.
//
// What it holds the feed to: whatever comes and goes, every client that follows the
// protocol ends at exactly the server's view (invariant 7), which is compared client by
// client. That alone decides whether a run is good; how fast it was is in the report.
//
// What the feed is built for stands in goals.go, and the report says which of it was reached.
// Wall time is shared with whatever else the machine does; fanout_cpu_vs_floor compares what
// the two sides of the race have worked, and fanout_work_vs_floor that with what their clients
// have: both are steadier.
//
// The bench's own processes are crowds, each some thousand clients in one epoll loop, and
// floors, each a bare loop over as many plain sockets as a feed process has. They do one
// task at a time (task.go) and end with the bench (internal/leash). Nothing of a run
// outlives it.
package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/bench"
)

// Config says how the feed is measured. The zero value of a field means its default.
type Config struct {
	Conns   int           // feeds open at once; default 2,000
	Binary  bool          // the feeds speak onsale.v1.bin, as pages of large maps do, in place of JSON
	Procs   int           // processes that serve them; default: as few as the limit on open files allows, two at the least
	Rounds  int           // of the fan-out that count; default 3
	Lasting time.Duration // how long holds are asked for, each time; default 10 s
	Rate    float64       // holds a second meanwhile; default 1,000
	Idle    time.Duration // how long nothing happens while CPU time is counted; default 30 s, in which everybody is pinged
	Churn   time.Duration // how long clients come and go; default 0: not at all
	Status  io.Writer     // hears how it goes on; default: nobody
}

const (
	defaultConns   = 2_000
	defaultRounds  = 3
	defaultLasting = 10 * time.Second
	defaultRate    = 1_000
	defaultIdle    = 30 * time.Second

	maxConns   = 1_000_000
	maxProcs   = 256
	maxRounds  = 100
	maxLasting = 10 * time.Minute
	maxRate    = 20_000
	maxChurn   = 24 * time.Hour

	// besidesFeeds is how many files a process may need for what isn't a connection.
	besidesFeeds = 1_024
	// feedShare is the part of a process's connections that may be feeds.
	feedShare = 0.7
)

var quiet = slog.New(slog.DiscardHandler)

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Conns, defaultConns)
	setDefault(&c.Rounds, defaultRounds)
	setDefault(&c.Lasting, defaultLasting)
	setDefault(&c.Rate, defaultRate)
	setDefault(&c.Idle, defaultIdle)
	if c.Status == nil {
		c.Status = io.Discard
	}
	room, err := roomForConns()
	if err != nil {
		return c, err
	}
	setDefault(&c.Procs, max(2, int(math.Ceil(float64(c.Conns)/(feedShare*float64(room))))))
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func (c Config) validate() error {
	switch {
	case c.Conns < 100 || c.Conns > maxConns:
		return wrong("conns: %d must be from 100 to %d", c.Conns, maxConns)
	case c.Procs < 1 || c.Procs > maxProcs:
		return wrong("procs: %d must be from 1 to %d", c.Procs, maxProcs)
	case c.Rounds < 1 || c.Rounds > maxRounds:
		return wrong("rounds: %d must be from 1 to %d", c.Rounds, maxRounds)
	case c.Lasting < time.Second || c.Lasting > maxLasting:
		return wrong("lasting: %v must be from 1s to %v", c.Lasting, maxLasting)
	case c.Rate < 1 || c.Rate > maxRate:
		return wrong("rate: %v must be from 1 to %d holds a second", c.Rate, maxRate)
	case c.Idle < 0 || c.Idle > maxLasting:
		return wrong("idle: %v must be from 0s to %v", c.Idle, maxLasting)
	case c.Churn < 0 || c.Churn > maxChurn:
		return wrong("churn: %v must be from 0s to %v", c.Churn, maxChurn)
	}
	return nil
}

func wrong(format string, args ...any) error {
	return &bench.ConfigError{Text: fmt.Sprintf(format, args...)}
}

// protocol is the subprotocol that the feeds ask for, and opcode what its updates come as.
func (c Config) protocol() string {
	if c.Binary {
		return onsale.FeedBinary
	}
	return onsale.FeedProtocol
}

func (c Config) opcode() int {
	if c.Binary {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

// run is one run of the scenario.
type run struct {
	cfg    Config
	house  *house
	crowds team
	buyers *buyers
	report *bench.Report
	empty  float64 // the feed's memory before anybody came, in bytes
}

// Run opens that many feeds on an Onsale of its own and measures what they cost and how
// soon they know. Errors: as bench.Rush.
func Run(ctx context.Context, cfg Config) (report *bench.Report, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, report: bench.NewReport("feed", map[string]any{
		"conns": cfg.Conns, "protocol": cfg.protocol(), "procs": cfg.Procs, "rounds": cfg.Rounds, "seconds": cfg.Lasting.Seconds(), "rate": cfg.Rate,
		"idle_seconds": cfg.Idle.Seconds(), "churn_seconds": cfg.Churn.Seconds(), "heartbeat_seconds": onsale.DefaultHeartbeat.Seconds(),
	})}
	if r.house, err = openHouse(ctx, cfg); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	defer func() { err = errors.Join(err, r.house.close()) }()
	defer func() { r.crowds.stop() }() // before the feeds, to which they would come back
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	r.judge()
	r.report.OK = r.report.Err() == nil
	return r.report, r.report.Err()
}

// measure takes every figure in turn: what needs quiet first.
func (r *run) measure(ctx context.Context) (err error) {
	if r.buyers, err = newBuyers(r.house); err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"connect", r.connect}, {"idle", r.idle}, {"fan-out", r.fanOut}, {"load", r.load}, {"herd", r.herd},
		{"churn", r.churn}, {"compare", r.compare},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		r.tell("%s: %.1f s", step.name, time.Since(began).Seconds())
	}
	return nil
}

func (r *run) tell(format string, args ...any) { fmt.Fprintf(r.cfg.Status, format+"\n", args...) }

func (r *run) figure(name string, value float64, unit string) {
	r.report.Figures[name] = bench.Figure{Value: math.Round(value*1000) / 1000, Unit: unit}
	r.tell("  %s %.4g %s", name, value, unit)
}

func (r *run) ratio(name string, value float64) {
	r.report.Ratios[name] = value
	r.tell("  %s %.3f", name, value)
}

// broken notes that invariant 7 is broken.
func (r *run) broken(subject, format string, args ...any) {
	r.report.Audit.Violations = append(r.report.Audit.Violations,
		onsale.Violation{Invariant: onsale.InvariantFeed, Subject: subject, Detail: fmt.Sprintf(format, args...)})
}

// pause waits, or returns why it can't.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
