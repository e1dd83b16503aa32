// Package settle measures the settlement pipeline: how many orders a second come from Kafka
// to their tickets, with the stores on this machine and a payment provider that answers at
// once. In turns with it works the same pipeline with batches of one.
package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"onsale"
	"onsale/bench"
	"onsale/internal/contest"
	"onsale/internal/lifecycle"
)

// Config says how settlement is measured. The zero value of a field means its default.
type Config struct {
	Rounds  int       // that count; default 5
	Orders  int       // of a round, in batches; default 60,000
	Backlog int       // purchases that wait while the memory is watched; default 200,000
	Status  io.Writer // hears how it goes on; default: nobody
}

const (
	defaultRounds  = 5
	defaultOrders  = 60_000
	defaultBacklog = 200_000

	maxRounds  = 100
	maxOrders  = 500_000
	maxBacklog = 2_000_000

	// singly is how many of a round's orders the pipeline with batches of one is given: one in so many.
	singly = 60
	// pacing is how long orders come in a round at half of what the pipeline can do, to see how long each takes.
	pacing = 5 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	if c.Orders == 0 {
		c.Orders = defaultOrders
	}
	if c.Backlog == 0 {
		c.Backlog = defaultBacklog
	}
	if c.Status == nil {
		c.Status = io.Discard
	}
	return c
}

func (c Config) validate() error {
	if c.Rounds < 1 || c.Rounds > maxRounds || c.Orders < 1000 || c.Orders > maxOrders || c.Backlog < c.Orders || c.Backlog > maxBacklog {
		return &bench.ConfigError{Text: fmt.Sprintf("rounds must be from 1 to %d, orders from 1000 to %d, and backlog from orders to %d", maxRounds, maxOrders, maxBacklog)}
	}
	return nil
}

// run is one run of the scenario.
type run struct {
	cfg    Config
	house  *house
	report *bench.Report
	events []onsale.EventID // to be audited
	cpu    contest.Figures  // µs of CPU time an order, by part
	paced  contest.Figures  // ms from accepting an order to its tickets, at half of the speed
}

// Run measures settlement on stores of its own, and answers over HTTP on an Onsale of its own.
// Errors: as bench.Rush.
func Run(ctx context.Context, cfg Config) (report *bench.Report, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	lifecycle.RoomyHeap() // as in the process that settles
	r := &run{cfg: cfg, cpu: contest.Figures{}, paced: contest.Figures{}, report: bench.NewReport("settle", map[string]any{"rounds": cfg.Rounds, "orders": cfg.Orders, "backlog": cfg.Backlog})}
	if err := r.measurePipeline(ctx); err != nil {
		return nil, err
	}
	answers, err := bench.Checkouts(ctx, bench.CheckoutsConfig{Rounds: cfg.Rounds, Status: cfg.Status})
	if err != nil {
		return nil, err
	}
	r.report.Contest(answers.Rounds, "ms")
	r.report.Versus("checkout_vs_hold", answers.Rounds, "checkout_p50", "hold_p50")
	r.report.Audit.Violations = append(r.report.Audit.Violations, answers.Violations...)
	r.report.OK = r.report.Err() == nil
	return r.report, r.report.Err()
}

// measurePipeline measures all but the answers over HTTP.
func (r *run) measurePipeline(ctx context.Context) (err error) {
	if r.house, err = openHouse(ctx, r.cfg.Status); err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	defer func() { err = errors.Join(err, r.house.close()) }()
	figures, err := contest.Run(ctx, r.cfg.Rounds, []contest.Contestant{
		{Name: "orders_batched", Work: r.round(r.cfg.Orders, whole)},
		{Name: "orders_single", Work: r.round(r.cfg.Orders/singly, 1)},
	}, func(round int, name string, figure float64) {
		fmt.Fprintf(r.cfg.Status, "round %d: %-15s %8.0f orders/s\n", round, name, figure)
	})
	if err != nil {
		return err
	}
	r.report.Contest(figures, "1/s")
	r.report.Contest(r.cpu, "µs an order")
	r.report.Versus("batched_vs_single", figures, "orders_batched", "orders_single")
	rate := figures.Median("orders_batched") / 2
	r.report.Figures["settled_rate"] = bench.Figure{Value: rate, Unit: "1/s"}
	for round := range r.cfg.Rounds {
		if err := r.pace(ctx, round+1, rate); err != nil {
			return err
		}
	}
	r.report.Contest(r.paced, "ms")
	if err := r.watchMemory(ctx); err != nil {
		return err
	}
	for _, event := range r.events {
		violations, err := r.house.audit(ctx, event)
		if err != nil {
			return fmt.Errorf("checking the outcome: %w", err)
		}
		r.report.Audit.Violations = append(r.report.Audit.Violations, violations...)
	}
	return nil
}

// round has so many purchases wait in Kafka and settles them in batches of at most so many. The
// figure is orders a second, from when a tenth of them has tickets until all have.
func (r *run) round(orders, batch int) func(context.Context, int) (float64, error) {
	return func(ctx context.Context, round int) (rate float64, err error) {
		line, err := r.openLine(ctx, orders, batch)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, line.close()) }()
		if err := line.accept(ctx, orders); err != nil {
			return 0, err
		}
		if err := line.start(ctx); err != nil {
			return 0, err
		}
		first, err := line.until(ctx, orders/10)
		if err != nil {
			return 0, err
		}
		began, used := time.Now(), r.house.used()
		last, err := line.until(ctx, orders)
		took := time.Since(began)
		if batch == whole && round > 0 {
			for name, now := range r.house.used() {
				r.cpu[name] = append(r.cpu[name], float64((now-used[name]).Microseconds())/float64(last-first))
			}
		}
		return float64(last-first) / took.Seconds(), err
	}
}

// pace accepts purchases at a rate for one round, and notes how long they take until they have their tickets.
func (r *run) pace(ctx context.Context, round int, rate float64) (err error) {
	orders := int(rate * pacing.Seconds())
	line, err := r.openLine(ctx, orders, whole)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.close()) }()
	if err := line.start(ctx); err != nil {
		return err
	}
	if err := line.acceptAt(ctx, orders, rate); err != nil {
		return err
	}
	if _, err := line.until(ctx, orders); err != nil {
		return err
	}
	took := line.durations()
	p50, p99 := bench.Percentile(took, 50), bench.Percentile(took, 99)
	r.paced["settled_p50"] = append(r.paced["settled_p50"], p50)
	r.paced["settled_p99"] = append(r.paced["settled_p99"], p99)
	fmt.Fprintf(r.cfg.Status, "round %d: at %.0f orders/s from accepted to ticketed in %.0f ms, the slowest hundredth in %.0f ms\n", round, rate, p50, p99)
	return nil
}

// watchMemory settles a small backlog and a large one, and reports the most memory that each
// took: what waits in Kafka must not wait in memory.
func (r *run) watchMemory(ctx context.Context) error {
	small, err := r.peak(ctx, r.cfg.Orders)
	if err != nil {
		return err
	}
	large, err := r.peak(ctx, r.cfg.Backlog)
	if err != nil {
		return err
	}
	r.report.Figures["heap_small_backlog"] = bench.Figure{Value: small, Unit: "bytes"}
	r.report.Figures["heap_large_backlog"] = bench.Figure{Value: large, Unit: "bytes"}
	r.report.Ratios["backlog_memory"] = large / small
	return nil
}

// peak is the most memory that live objects took while a backlog was settled.
func (r *run) peak(ctx context.Context, orders int) (peak float64, err error) {
	line, err := r.openLine(ctx, orders, whole)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, line.close()) }()
	if err := line.accept(ctx, orders); err != nil {
		return 0, err
	}
	line.forget()
	stop := watchHeap()
	if err := line.start(ctx); err != nil {
		return 0, errors.Join(err, fmt.Errorf("the most was %.0f bytes", stop()))
	}
	_, err = line.until(ctx, orders)
	peak = stop()
	fmt.Fprintf(r.cfg.Status, "backlog of %d: at most %.0f MB of live objects\n", orders, peak/1e6)
	return peak, err
}
