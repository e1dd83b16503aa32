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

// showHistory needs Postgres alone, so that it answers when all else is down.
func showHistory(ctx context.Context, c *cli.Command, store *persist.Store, id onsale.OrderID) error {
	moves, err := store.History(ctx, id)
	if err != nil {
		return err
	}
	return printHistory(c, moves)
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
