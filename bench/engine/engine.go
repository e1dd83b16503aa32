// Package engine measures what holds cost Redis alone: the scripts are driven straight,
// without HTTP, Kafka or Postgres. What counts is the CPU time of Redis's one thread, so
// that it doesn't matter how busy the machine is otherwise.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/redis/rueidis"
	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/bench"
	"onsale/holds"
	"onsale/internal/contest"
	"onsale/internal/stores"
	"onsale/persist"
)

// Config says how the engine is measured. The zero value of a field means its default.
type Config struct {
	Rounds int       // that count; default 5
	Batch  int       // holds in one call; default 128, what the batcher sends at the most
	Status io.Writer // hears how it goes on; default: nobody
}

const (
	defaultRounds = 5
	defaultBatch  = 128
	maxRounds     = 100
	maxBatch      = 1000

	generalHolds = 20_000 // in a round
	pairRows     = 100    // of the section in which pairs are held until it is sold out
	pairRowSeats = 200
	pairHolds    = pairRows * pairRowSeats / 2
	// edgeHolds are the first and the last of them: of a house that is empty, or full but for 5 %.
	edgeHolds = pairHolds / 20
)

// run is one run of the scenario.
type run struct {
	cfg     Config
	redis   *stores.Redis
	client  rueidis.Client
	desk    *holds.Desk
	folder  string
	edges   map[string][]float64 // "empty" and "full": seconds a hold, by round
	laid    int                  // events so far
	layouts []*onsale.Layout     // of them
	report  *bench.Report
}

// Run measures the engine on a Redis of its own. Errors: as bench.Rush.
func Run(ctx context.Context, cfg Config) (report *bench.Report, err error) {
	if cfg.Rounds == 0 {
		cfg.Rounds = defaultRounds
	}
	if cfg.Batch == 0 {
		cfg.Batch = defaultBatch
	}
	if cfg.Status == nil {
		cfg.Status = io.Discard
	}
	if cfg.Rounds < 1 || cfg.Rounds > maxRounds || cfg.Batch < 1 || cfg.Batch > maxBatch {
		return nil, &bench.ConfigError{Text: fmt.Sprintf("rounds must be from 1 to %d, and batch from 1 to %d", maxRounds, maxBatch)}
	}
	r := &run{cfg: cfg, folder: filepath.Join(os.TempDir(), "onsale-engine-"+strconv.Itoa(os.Getpid())), edges: map[string][]float64{},
		report: bench.NewReport("engine", map[string]any{"rounds": cfg.Rounds, "batch": cfg.Batch, "general_holds": generalHolds, "seats": 2 * pairHolds})}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	figures, err := contest.Run(ctx, cfg.Rounds, []contest.Contestant{
		{Name: "general_batched", Work: r.general((*holds.Straight).Together)},
		{Name: "general_single", Work: r.general((*holds.Straight).Singly)},
		{Name: "pairs_batched", Work: r.pairs((*holds.Straight).Together, true)},
		{Name: "pairs_single", Work: r.pairs((*holds.Straight).Singly, false)},
	}, func(round int, name string, figure float64) {
		fmt.Fprintf(cfg.Status, "round %d: %-15s %8.0f holds per second of Redis's thread\n", round, name, figure)
	})
	if err != nil {
		return nil, err
	}
	if r.report.Audit.Violations, err = r.audit(ctx); err != nil {
		return nil, fmt.Errorf("checking the outcome: %w", err)
	}
	return r.conclude(figures)
}

// audit checks the stock of every event that was laid.
func (r *run) audit(ctx context.Context) ([]onsale.Violation, error) {
	violations := []onsale.Violation{}
	for _, l := range r.layouts {
		view, err := r.desk.Inspect(ctx, l)
		if err != nil {
			return nil, err
		}
		violations = append(violations, persist.AuditStock(l, view)...)
	}
	return violations, nil
}

func (r *run) conclude(f contest.Figures) (*bench.Report, error) {
	r.report.Contest(f, "1/s of one core")
	edges := contest.Figures(r.edges)
	for _, name := range []string{"empty", "full"} {
		r.report.Figures["pair_when_"+name] = bench.Figure{Value: edges.Median(name) * 1e6, Unit: "µs"}
		micros := make([]float64, len(edges[name]))
		for i, seconds := range edges[name] {
			micros[i] = seconds * 1e6
		}
		r.report.Sample("pair_when_"+name, micros)
	}
	r.report.Versus("batched_vs_single", f, "general_batched", "general_single")
	r.report.Versus("batched_vs_single_seats", f, "pairs_batched", "pairs_single")
	r.report.Versus("full_vs_empty", edges, "full", "empty")
	r.report.OK = r.report.Err() == nil
	return r.report, r.report.Err()
}

func (r *run) start(ctx context.Context) (err error) {
	r.redis = stores.NewRedis(stores.RedisConfig{Folder: r.folder})
	if err := r.redis.Start(ctx); err != nil {
		return err
	}
	if r.redis.Embedded() {
		return errors.New("redis-server is missing, and nothing else is worth measuring: install it")
	}
	if r.client, err = holds.Connect(r.redis.URL()); err != nil {
		return err
	}
	r.desk = holds.NewDesk(holds.Config{Client: r.client, Secret: []byte("bench")})
	return nil
}

func (r *run) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	var errs []error
	if r.desk != nil {
		errs = append(errs, r.desk.Stop(ctx))
	}
	if r.client != nil {
		r.client.Close()
	}
	return errors.Join(append(errs, r.redis.Stop(ctx), os.RemoveAll(r.folder))...)
}

// Command returns the command "engine", a scenario of the bench.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "engine",
		Usage: "what a hold costs Redis alone, in batches and by itself",
		Description: "Drives the scripts straight on a Redis of its own, in turns, and counts the CPU time of its one thread.\n" +
			"Ends with an audit of every event's stock; exits with 3 if a promise is broken.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rounds", Value: defaultRounds, Usage: "`ROUNDS` that count"},
			&cli.IntFlag{Name: "batch", Value: defaultBatch, Usage: "`HOLDS` in one call"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := bench.FlagsOnly(c); err != nil {
				return err
			}
			report, err := Run(ctx, Config{Rounds: c.Int("rounds"), Batch: c.Int("batch"), Status: c.Root().ErrWriter})
			return bench.Deliver(c, report, err)
		},
	}
}
