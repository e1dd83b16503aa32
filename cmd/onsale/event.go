package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/engine"
)

func eventCommand() *cli.Command {
	return &cli.Command{
		Name: "event", Usage: "create, open, pause, close, list and audit events",
		Commands: []*cli.Command{
			eventAction("create", "create an event from a YAML FILE (- for standard input), as a draft", "FILE", nil, createEvent),
			eventAction("open", "open an event's sale, or resume it", "EVENT", nil, changeSale(onsale.SaleOpen)),
			eventAction("pause", "pause a sale; what is held can still be bought", "EVENT", nil, changeSale(onsale.SalePaused)),
			eventAction("close", "close a sale for good", "EVENT", nil, changeSale(onsale.SaleClosed)),
			eventAction("list", "list the events", "", nil, listEvents),
			eventAction("audit", "check the seven invariants; exits with 3 and names the culprit if one is broken", "EVENT", []cli.Flag{
				&cli.DurationFlag{Name: "wait", Usage: "wait this `TIME` at the most for orders under way to end; what is open after it is lost"},
				&cli.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			}, auditEvent),
		},
	}
}

// eventAction is a command that works on the stores themselves, with no server
// between, so that an operator can act when the front tier is down.
func eventAction(name, usage, argument string, more []cli.Flag, act func(context.Context, *cli.Command, *node) error) *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: argument,
		Flags: append(s.flags(storeSettings...), more...),
		Action: func(ctx context.Context, c *cli.Command) error {
			want := 0
			if argument != "" {
				want = 1
			}
			if c.Args().Len() != want {
				return wrong("%s takes %d argument(s); see %s --help", name, want, c.FullName())
			}
			if err := s.checkInstallation(c); err != nil {
				return err
			}
			n, err := newNode(*s)
			if err != nil {
				return err
			}
			if err := n.connect(ctx); err != nil {
				return cantStart(err)
			}
			n.sales = engine.NewSales(engine.SalesConfig{Store: n.store, Desk: n.desk, Broker: n.broker(), Log: n.log})
			n.add(n.desk, n.sales)
			if err := n.mirror(func(onsale.EventID) {}); err != nil {
				return cantStart(err)
			}
			if err := n.chain.Start(ctx); err != nil {
				return err
			}
			err = act(ctx, c, n)
			if stopErr := n.stop(ctx); err == nil {
				err = stopErr
			}
			return err
		},
	}
}

func createEvent(ctx context.Context, c *cli.Command, n *node) error {
	e, err := readEventFile(c.Args().First())
	if err != nil {
		return cantStart(err)
	}
	created, err := n.sales.Create(ctx, e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Root().Writer, "%s is created, a draft; open its sale with: onsale event open %s\n", created.ID, created.ID)
	return err
}

func readEventFile(path string) (*onsale.Event, error) {
	var in io.Reader = os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("can't read the event file: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, onsale.MaxEventBytes+1))
	if err != nil {
		return nil, fmt.Errorf("can't read the event file: %w", err)
	}
	if len(text) > onsale.MaxEventBytes {
		return nil, fmt.Errorf("the event file has more than %d bytes", onsale.MaxEventBytes)
	}
	return engine.ReadEvent(text)
}

func changeSale(next onsale.Sale) func(context.Context, *cli.Command, *node) error {
	return func(ctx context.Context, c *cli.Command, n *node) error {
		e, err := n.sales.Change(ctx, onsale.EventID(c.Args().First()), next)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.Root().Writer, "%s is %s\n", e.ID, e.Sale)
		return err
	}
}

func listEvents(ctx context.Context, c *cli.Command, n *node) error {
	events, err := n.store.Events(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EVENT\tSALE\tCAPACITY\tSTARTS\tNAME")
	for _, e := range events {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", e.ID, e.Sale, e.Capacity(), e.StartsAt.Format(time.RFC3339), e.Name)
	}
	return w.Flush()
}

func auditEvent(ctx context.Context, c *cli.Command, n *node) error {
	report, err := n.auditor().Audit(ctx, onsale.EventID(c.Args().First()), c.Duration("wait"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := printJSON(c, report); err != nil {
			return err
		}
	} else if err := printAudit(c.Root().Writer, report); err != nil {
		return err
	}
	return report.Err()
}

// printAudit prints what an audit found, and what it did not look at; violations are
// the error's to tell.
func printAudit(out io.Writer, r *onsale.AuditReport) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "section\tcapacity\tavailable\theld\tpinned\tsold\tclaimed\t")
	for _, s := range r.Sections {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", s.ID, s.Capacity, s.Available, s.Held, s.Pinned, s.Sold, s.Claimed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	verdict := "every invariant holds"
	switch {
	case !r.OK():
		verdict = fmt.Sprintf("%d VIOLATIONS", len(r.Violations))
	case len(r.Unchecked) > 0:
		verdict = "nothing broken was found, but not everything was checked"
	}
	for _, u := range r.Unchecked {
		verdict += "\nnot checked: " + u.String()
	}
	_, err := fmt.Fprintf(out, "orders: %d ticketed, %d declined, %d rejected, %d refunded, %d open\naudit of %s: oversold %d, lost %d, double charges %d; %s\n",
		r.Orders[onsale.OrderTicketed], r.Orders[onsale.OrderDeclined], r.Orders[onsale.OrderRejected], r.Orders[onsale.OrderRefunded],
		r.Orders[onsale.OrderAccepted]+r.Orders[onsale.OrderClaimed]+r.Orders[onsale.OrderPaid],
		r.Event, r.Oversold, r.LostOrders, r.DoubleCharges, verdict)
	return err
}
