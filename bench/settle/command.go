package settle

import (
	"context"

	"github.com/urfave/cli/v3"

	"onsale/bench"
)

// Command returns the command "settle", a scenario of the bench.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "settle",
		Usage: "how many orders a second come from Kafka to their tickets",
		Description: "Starts Postgres and Kafka, and settles with a payment provider that answers at once: in batches and one by one, in\n" +
			"turns; at half of its speed, to see how long an order takes; and a large backlog, to see what it takes in memory.\n" +
			"Then it asks an Onsale of its own for holds and check-outs. Ends with an audit; exits with 3 if a promise is broken.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rounds", Value: defaultRounds, Usage: "`ROUNDS` that count"},
			&cli.IntFlag{Name: "orders", Value: defaultOrders, Usage: "`ORDERS` of a round"},
			&cli.IntFlag{Name: "backlog", Value: defaultBacklog, Usage: "`PURCHASES` of the large backlog"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := bench.FlagsOnly(c); err != nil {
				return err
			}
			report, err := Run(ctx, Config{Rounds: c.Int("rounds"), Orders: c.Int("orders"), Backlog: c.Int("backlog"), Status: c.Root().ErrWriter})
			return bench.Deliver(c, report, err)
		},
	}
}
