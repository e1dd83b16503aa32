// Package faults storms an Onsale whose processes are killed, paused, cut off and slowed
// meanwhile, each by itself and together, and finds out whether every promise was kept.
//
// The house (house.go) is started for it: Redis, Postgres, Kafka, the payment simulator,
// a front, a feed and a settling process, each a process of its own (process.go), and
// between them cables that can be cut (wiring.go). The storm is bench's rush: its buyers,
// who know nothing of this. What goes wrong, and when, is fixed by the seed (schedule.go)
// and carried out by a lane a target (lanes.go, strike.go). Buyers pay late, and an operator
// pays some of them back, meanwhile. When all is healed, and every
// 202 has had its time to end, the rush holds what its buyers were told, the feeds, and
// the server's own audit of Redis, Postgres, Kafka and the payment ledger against each
// other. What comes of a run is judged in verdict.go; many runs are a
// campaign (campaign.go), whose sum is in summary.go.
package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"onsale/bench"
)

// Config says how often and how long to storm. The zero value of a field means its default.
type Config struct {
	Runs        int           // with consecutive seeds; default 1
	ApacheRuns  int           // so many more after them, on Apache Kafka; default none
	Apache      bool          // those of Runs, too; default: on the embedded broker
	Duration    time.Duration // buyers arrive in each run; default 30 s
	Seed        uint64        // of the first run; default 1
	Rate        float64       // buyers a second; default 90
	KafkaScript string        // starts Apache Kafka, as deploy/kafka/run; no default
	Hits        int           // how often each crash point must have been hit in all runs, or they prove too little; default 0
	Folder      string        // where a folder is made for the house; default: the system's for temporary files
	Binary      string        // onsale; default: this very program
	Status      io.Writer     // is told how it goes; default: nobody
}

const (
	defaultDuration = 30 * time.Second
	defaultRate     = 90
	shortestRun     = 6 * time.Second
	longestRun      = time.Hour
	mostRuns        = 10_000
	mostRate        = 5_000

	// think is a buyer's mean pause between two steps.
	think = 200 * time.Millisecond
	// watchers are feeds that stay open to be compared at the end.
	watchers = 60
	// endWait is how long an accepted order may take to its end, faults included: longer
	// than recovery leaves a pin without an order alone, and its sweep after that.
	endWait = 150 * time.Second
	// feedsWait is how long feeds may take to show what the server shows.
	feedsWait = 60 * time.Second
	// healWithin is how long all faults may take to be over after the storm.
	healWithin = 4 * time.Minute
)

// WithDefaults returns the configuration with every unset field set.
func (c Config) WithDefaults() (Config, error) {
	if c.Runs == 0 {
		c.Runs = 1
	}
	if c.Duration == 0 {
		c.Duration = defaultDuration
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Rate == 0 {
		c.Rate = defaultRate
	}
	if c.Status == nil {
		c.Status = io.Discard
	}
	if c.Binary == "" {
		var err error
		if c.Binary, err = os.Executable(); err != nil {
			return c, fmt.Errorf("find the onsale binary: %w", err)
		}
	}
	return c, nil
}

// validate returns a *bench.ConfigError that names the first setting to mend.
func (c Config) validate() error {
	switch {
	case c.Runs < 1 || c.Runs > mostRuns || c.ApacheRuns < 0 || c.ApacheRuns > mostRuns:
		return wrong("runs: %d must be from 1 to %d, and %d on Apache Kafka from 0", c.Runs, mostRuns, c.ApacheRuns)
	case c.Hits < 0:
		return wrong("hits: %d must not be negative", c.Hits)
	case c.Duration < shortestRun || c.Duration > longestRun:
		return wrong("duration: %v must be from %v to %v", c.Duration, shortestRun, longestRun)
	case c.Rate < 1 || c.Rate > mostRate:
		return wrong("rate: %v must be from 1 to %d buyers a second", c.Rate, mostRate)
	}
	if c.Apache || c.ApacheRuns > 0 {
		if _, err := os.Stat(c.KafkaScript); err != nil {
			return wrong("kafka: Apache Kafka is started by %s, which isn't there: give its path with --kafka-script", c.KafkaScript)
		}
	}
	return nil
}

func wrong(format string, args ...any) error {
	return &bench.ConfigError{Text: fmt.Sprintf(format, args...)}
}

// run makes one run in a house.
func (h *house) run(ctx context.Context, cfg Config, seed uint64) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &outcome{seed: seed, plan: Plan(seed, cfg.Duration, holdTimeOf(seed))}
	fmt.Fprintf(cfg.Status, "run with seed %d: %d faults planned\n", seed, len(o.plan))
	var latest atomic.Pointer[bench.Progress]
	stormed := make(chan struct{})
	struck := make(chan struct{}) // closed when the lanes are set off
	firing := func(f Fault) {
		o.before.CompareAndSwap(nil, latest.Load())
		fmt.Fprintf(cfg.Status, "  %6.2fs  %s\n", f.At.Seconds(), f)
	}
	var l *lanes // stays nil if ctx ends first
	go func() {  // ends with the storm's beginning, or with ctx
		defer close(struck)
		select {
		case <-stormed:
			l = h.begin(ctx, o.plan, firing)
		case <-ctx.Done():
		}
	}()
	progress := func(p bench.Progress) {
		if last := latest.Swap(&p); p.Phase == bench.PhaseStorm && (last == nil || last.Phase != bench.PhaseStorm) {
			close(stormed)
		}
	}
	rush := h.rush(cfg, seed)
	rush.Progress = progress
	rush.GoOn = func() bool { // a fault that comes late must still meet buyers
		<-struck
		return l != nil && l.left.Load() > 0
	}
	rush.Heal = func(ctx context.Context) error {
		<-struck
		return h.heal(ctx, l, o)
	}
	began := time.Now()
	report, err := bench.Rush(ctx, rush)
	cancel()
	<-struck
	if l != nil {
		o.done = l.wait()
	}
	o.took = time.Since(began)
	if report == nil {
		return nil, fmt.Errorf("the run with seed %d: %w", seed, err)
	}
	o.storm = report
	o.markFaults()
	return o, nil
}

// rush is the storm of a run.
func (h *house) rush(cfg Config, seed uint64) bench.RushConfig {
	return bench.RushConfig{
		Users: int(cfg.Rate * cfg.Duration.Seconds()), Over: cfg.Duration, Seed: seed, Think: think,
		Target: "http://" + h.wiring.addr(buyers, Front), FeedTarget: "http://" + h.wiring.addr(buyers, Feed),
		AdminToken: h.admin, Create: event(cfg, seed),
		ResultTimeout: endWait, FeedTimeout: feedsWait, Watchers: watchers,
		SlowPayment: holdTimeOf(seed) + time.Second, Aftermath: true, Forgetful: true,
	}
}

// heal waits until every fault is over and every process serves.
func (h *house) heal(ctx context.Context, l *lanes, o *outcome) error {
	ctx, cancel := context.WithTimeout(ctx, healWithin)
	defer cancel()
	over := make(chan struct{})
	go func() { l.all.Wait(); close(over) }() // ends with the lanes, which end with the run
	select {
	case <-over:
	case <-ctx.Done():
		return fmt.Errorf("faults are still under way: %w", ctx.Err())
	}
	for target, p := range h.roles {
		if text := p.endedByItself(); text != "" {
			o.ended = append(o.ended, text)
			if err := h.back(ctx, p); err != nil {
				return fmt.Errorf("start %s again: %w", target, err)
			}
		}
	}
	for _, at := range []Target{Front, Feed} {
		if err := ready(ctx, "http://"+h.wiring.addr(buyers, at)+"/readyz"); err != nil {
			return fmt.Errorf("%s is not ready: %w", at, err)
		}
	}
	return nil
}

// ready waits until a server says that every store answers.
func ready(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close() // its status is all that is wanted
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %d", response.StatusCode)
		}
		if !pause(ctx, startAgain) {
			return err
		}
	}
}
