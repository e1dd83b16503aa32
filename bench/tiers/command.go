package tiers

import (
	"context"

	"github.com/urfave/cli/v3"

	"onsale/bench"
)

// Command returns the command "tiers", a scenario of the bench.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "tiers",
		Usage: "the same storm through one process of each tier and through several: what is shared out, and what that costs",
		Description: "Starts two houses on loopback addresses of their own: one front, feed, settler, Redis and partition; and two fronts, feeds\n" +
			"and settlers with a Redis Cluster of three and six partitions. Compares the CPU time of each operation, counts who did\n" +
			"how much, and audits; exits with 3 if a promise is broken or the work isn't shared. Needs all of 127.0.0.0/8, as on Linux.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "buyers", Value: defaultBuyers, Usage: "`BUYERS` of a round"},
			&cli.IntFlag{Name: "watchers", Value: defaultWatchers, Usage: "`FEEDS` that are open meanwhile"},
			&cli.IntFlag{Name: "rounds", Value: defaultRounds, Usage: "`ROUNDS` that count"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := bench.FlagsOnly(c); err != nil {
				return err
			}
			report, err := Run(ctx, Config{Buyers: c.Int("buyers"), Watchers: c.Int("watchers"), Rounds: c.Int("rounds"), Status: c.Root().ErrWriter})
			return bench.Deliver(c, report, err)
		},
	}
}
