package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/persist"
)

func orderCommand() *cli.Command {
	return &cli.Command{
		Name: "order", Usage: "look into orders",
		Commands: []*cli.Command{historyCommand()},
	}
}

// historyCommand needs Postgres alone, so that it answers when all else is down.
func historyCommand() *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: "history", Usage: "print what happened to an order: when, who and why", ArgsUsage: "ORDER",
		Flags: append(s.flags("postgres"), &cli.BoolFlag{Name: "json", Usage: "print it as JSON"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return wrong("history takes one order's id; see %s --help", c.FullName())
			}
			if err := s.check(c); err != nil {
				return err
			}
			store, err := persist.Open(ctx, s.postgres, persist.Config{})
			if err != nil {
				return cantStart(err)
			}
			defer store.Close()
			moves, err := store.History(ctx, onsale.OrderID(c.Args().First()))
			if err != nil {
				return err
			}
			return printHistory(c, moves)
		},
	}
}

func printHistory(c *cli.Command, moves []onsale.OrderMove) error {
	if c.Bool("json") {
		return printJSON(c, moves)
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tFROM\tTO\tWHO\tWHY")
	for _, m := range moves {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.At.Format(time.RFC3339Nano), m.From, m.To, m.Actor, m.Reason)
	}
	return w.Flush()
}
