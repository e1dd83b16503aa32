package faults

import (
	"context"

	"github.com/urfave/cli/v3"

	"onsale/bench"
)

// Command returns the bench's subcommand "faults". A broken promise comes back as an
// *onsale.AuditError, a run that put none to the test as bench.ErrVoid.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "faults",
		Usage: "a storm while processes are killed, paused, cut off and slowed; then every promise is checked",
		Description: "Starts an Onsale in processes of its own. What goes wrong, and when, is drawn from the seed: the same seed is the\n" +
			"same run. Exits with 3 if a promise is broken, with 4 if a run proves nothing: too few operations, or a fault that didn't happen. One with too few\n" +
			"operations before its first fault, as on a busy machine, is made again once, and that is said.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "runs", Value: 1, Usage: "`RUNS`, one after the other, with consecutive seeds"},
			&cli.IntFlag{Name: "apache-runs", Usage: "`RUNS` after those, with the seeds after theirs, on Apache Kafka"},
			&cli.IntFlag{Name: "hits", Usage: "each crash point must have been hit so many `TIMES` in all runs, or they prove too little"},
			&cli.DurationFlag{Name: "duration", Value: defaultDuration, Usage: "the `TIME` that buyers arrive for, in each run"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "the `SEED` of the first run"},
			&cli.Float64Flag{Name: "rate", Value: defaultRate, Usage: "`BUYERS` a second"},
			&cli.StringFlag{Name: "kafka", Value: embedded, Usage: "the `BROKER` of the first RUNS: embedded or apache"},
			&cli.StringFlag{Name: "kafka-script", Value: "deploy/kafka/run", Usage: "the `FILE` that starts Apache Kafka"},
			&cli.StringFlag{Name: "data", Usage: "make the house's folder in this `FOLDER` (default: the system's for temporary files)"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: runFaults,
	}
}

func runFaults(ctx context.Context, c *cli.Command) error {
	if err := bench.FlagsOnly(c); err != nil {
		return err
	}
	cfg := Config{Runs: c.Int("runs"), Duration: c.Duration("duration"), Seed: c.Uint64("seed"), Rate: c.Float64("rate"),
		ApacheRuns: c.Int("apache-runs"), Hits: c.Int("hits"), KafkaScript: c.String("kafka-script"), Folder: c.String("data"), Status: c.Root().ErrWriter}
	if cfg.Runs == 0 || cfg.Duration == 0 || cfg.Seed == 0 || cfg.Rate == 0 { // which Config takes for "the default"
		return wrong("--runs, --duration, --seed and --rate must not be 0")
	}
	switch c.String("kafka") {
	case embedded:
	case apache:
		cfg.Apache = true
	default:
		return wrong("--kafka %q must be embedded or apache", c.String("kafka"))
	}
	report, err := Run(ctx, cfg)
	return bench.Deliver(c, report, err)
}
