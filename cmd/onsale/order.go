package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/persist"
)

func orderCommand() *cli.Command {
	return &cli.Command{
		Name: "order", Usage: "show an order, and have it paid back",
		Commands: []*cli.Command{
			orderAction("show", "show an order and its refunds", []cli.Flag{
				&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
			}, showOrder),
			orderAction("history", "print what happened to an order: when, who and why", []cli.Flag{
				&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
			}, showHistory),
			orderAction("refund", "have an order paid back; the whole of it, without --tickets or --amount", []cli.Flag{
				&cli.IntSliceFlag{Name: "tickets", Usage: "end these admissions, by `NUMBER,…`, and pay their price back"},
				&cli.Int64Flag{Name: "amount", Usage: "pay this `AMOUNT` back, in minor units; every ticket stays valid"},
				&cli.StringFlag{Name: "payment", Usage: "pay back what was captured as `REFERENCE`; needed if the order was captured more than once"},
				&cli.StringFlag{Name: "reason", Usage: "why, as `TEXT` of up to 100 bytes that says nothing of the buyer"},
				&cli.StringFlag{Name: "key", Usage: "`KEY` of this refund: asked again under it, it is made once (default: a new one)"},
			}, refundOrder),
		},
	}
}

// orderAction is a command on one order of the book. It needs Postgres alone.
func orderAction(name, usage string, more []cli.Flag, act func(context.Context, *cli.Command, *persist.Store, onsale.OrderID) error) *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "ORDER",
		Flags: append(s.flags("postgres"), more...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return wrong("%s takes one ORDER; see %s --help", name, c.FullName())
			}
			order := onsale.OrderID(c.Args().First())
			if _, _, ok := order.Parse(); !ok {
				return wrong("%q is no order's id", order)
			}
			if err := s.check(c); err != nil {
				return err
			}
			store, err := persist.Open(ctx, s.postgres, persist.Config{})
			if err != nil {
				return cantStart(err)
			}
			defer store.Close()
			return act(ctx, c, store, order)
		},
	}
}

func showOrder(ctx context.Context, c *cli.Command, store *persist.Store, id onsale.OrderID) error {
	refunds, err := store.Refunds(ctx, id)
	if err != nil {
		return err
	}
	order, err := store.Order(ctx, id)
	unknown := onsale.CodeOf(err) == onsale.CodeUnknownOrder && len(refunds) > 0 // of captures without an order
	if err != nil && !unknown {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, map[string]any{"order": order, "refunds": append([]onsale.RefundEntry{}, refunds...)})
	}
	if unknown {
		fmt.Fprintf(c.Root().Writer, "%s is no order of ours; captured all the same:\n", id)
		return printRefunds(c.Root().Writer, refunds)
	}
	fmt.Fprintf(c.Root().Writer, "%s is %s%s since %s: %d %s\n", order.ID, order.State, inBrackets(order.Reason),
		order.UpdatedAt.Format(time.RFC3339), order.Amount, order.Currency)
	for _, line := range order.Lines {
		fmt.Fprintf(c.Root().Writer, "  %d of %s %s\n", line.Quantity, line.Section, strings.Join(line.Seats, " "))
	}
	return printRefunds(c.Root().Writer, refunds)
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func printRefunds(out io.Writer, refunds []onsale.RefundEntry) error {
	if len(refunds) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REFUND\tPAYMENT\tSTATE\tAMOUNT\tTICKETS\tASKED\tREASON")
	for _, r := range refunds {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d %s\t%v\t%s\t%s%s\n", r.ID, r.Payment, r.State, r.Amount, r.Currency, r.Tickets, r.AskedAt.Format(time.RFC3339), r.Reason, inBrackets(r.Refusal))
	}
	return w.Flush()
}

func refundOrder(ctx context.Context, c *cli.Command, store *persist.Store, id onsale.OrderID) error {
	key := c.String("key")
	if key == "" {
		key = string(onsale.NewRefundID())
	}
	ask := onsale.RefundRequest{Payment: c.String("payment"), Reason: c.String("reason")}
	if c.IsSet("tickets") {
		ask.Tickets = append([]int{}, c.IntSlice("tickets")...) // none of them is not the whole
	}
	if c.IsSet("amount") {
		ask.Amount = new(c.Int64("amount"))
	}
	entry, err := store.AskRefund(ctx, id, key, ask)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "%s is %s: %d %s, tickets %v; how it ends: onsale order show %s\n",
		entry.ID, entry.State, entry.Amount, entry.Currency, entry.Tickets, id)
	return nil
}
