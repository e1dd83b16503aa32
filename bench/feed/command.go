package feed

import (
	"context"

	"github.com/urfave/cli/v3"

	"onsale/bench"
)

// Command returns the command "feed", a scenario of the bench.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "feed",
		Usage: "how many browsers can watch, what each costs, and how soon all of them know",
		Description: "Starts an Onsale whose feed is processes of its own, and opens real sockets from processes of the bench. Each\n" +
			"update is raced against a bare loop that writes the same bytes to as many plain sockets. Then holds are asked for, some\n" +
			"clients stop reading, and all reconnect at once. In the end every client's view is compared with the server's, and the\n" +
			"event is audited; exits with 3 if a promise is broken. A process may have as many connections as open files.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "conns", Value: defaultConns, Usage: "`FEEDS` that are open at once"},
			&cli.BoolFlag{Name: "binary", Usage: "the feeds speak onsale.v1.bin, as pages of large maps do, in place of JSON"},
			&cli.IntFlag{Name: "procs", Usage: "`PROCESSES` that serve them (default: as few as the limit on open files allows, two at the least)"},
			&cli.IntFlag{Name: "rounds", Value: defaultRounds, Usage: "`ROUNDS` of the fan-out that count"},
			&cli.DurationFlag{Name: "lasting", Value: defaultLasting, Usage: "the `TIME` that holds are asked for, without a herd and with one"},
			&cli.Float64Flag{Name: "rate", Value: defaultRate, Usage: "`HOLDS` a second meanwhile"},
			&cli.DurationFlag{Name: "idle", Value: defaultIdle, Usage: "the `TIME` that nothing happens while CPU time is counted; a heartbeat takes 30s"},
			&cli.DurationFlag{Name: "churn", Usage: "the `TIME` that clients come and go, such as 5m (default: they don't)"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := bench.FlagsOnly(c); err != nil {
				return err
			}
			report, err := Run(ctx, Config{
				Conns: c.Int("conns"), Binary: c.Bool("binary"), Procs: c.Int("procs"), Rounds: c.Int("rounds"), Lasting: c.Duration("lasting"), Rate: c.Float64("rate"),
				Idle: c.Duration("idle"), Churn: c.Duration("churn"), Status: c.Root().ErrWriter,
			})
			return bench.Deliver(c, report, err)
		},
	}
}

// WorkerCommand returns the hidden command that is one of the bench's own processes.
func WorkerCommand() *cli.Command {
	return &cli.Command{
		Name: "feed-worker", Hidden: true, Usage: "do a feed bench's tasks, from standard input: crowd or floor",
		Action: func(_ context.Context, c *cli.Command) error {
			if work := workers[c.Args().First()]; work != nil {
				return work(c.Root().Reader, c.Root().Writer)
			}
			return wrong("feed-worker: %q is none: say crowd or floor", c.Args().First())
		},
	}
}
