package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/notify"
	"onsale/persist"
)

// notifySettings are what telling takes besides the stores.
var notifySettings = []string{"smtp", "mail-from", "public-url", "webhook-loopback"}

const (
	defaultListed = 50
	mostListed    = 1000
)

func notifyCommand() *cli.Command {
	lane := &cli.StringFlag{Name: "lane", Usage: "only `LANE`: email, or a webhook's id"}
	asJSON := &cli.BoolFlag{Name: "json", Usage: "print JSON"}
	return &cli.Command{
		Name: "notify", Usage: "tell of orders by e-mail and webhook; list, show and replay what is told",
		Commands: []*cli.Command{
			roleCommand("run", "tell of orders, alone: for settle --notify=false", roles{notify: true}, append(notifySettings, "listen")...),
			deliveryAction("list", "list deliveries, newest first", "", []cli.Flag{
				&cli.StringFlag{Name: "state", Value: string(onsale.DeliveryDead), Usage: "`STATE`: queued, sent or dead"}, lane,
				&cli.IntFlag{Name: "limit", Value: defaultListed, Usage: "`DELIVERIES` at the most, up to 1000"}, asJSON,
			}, listDeliveries),
			deliveryAction("show", "show one delivery", "DELIVERY", nil, showDelivery),
			deliveryAction("replay", "queue a DELIVERY again, or with --dead all that were given up; a receiver knows a repeat by its id", "[DELIVERY]",
				[]cli.Flag{&cli.BoolFlag{Name: "dead", Usage: "all dead ones"}, lane}, replayDeliveries),
		},
	}
}

// deliveryAction is a command that works on Postgres itself, with no server between.
func deliveryAction(name, usage, argument string, more []cli.Flag, act func(context.Context, *cli.Command, *persist.Store) error) *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: argument, Flags: append(s.flags("postgres"), more...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := checkDeliveryArguments(c, argument); err != nil {
				return err
			}
			if err := s.check(c); err != nil {
				return err
			}
			store, err := persist.Open(ctx, s.postgres, persist.Config{})
			if err != nil {
				return cantStart(err)
			}
			defer store.Close()
			return act(ctx, c, store)
		},
	}
}

func checkDeliveryArguments(c *cli.Command, argument string) error {
	want := 0
	if argument != "" && !c.Bool("dead") {
		want = 1
	}
	lane := onsale.Lane(c.String("lane"))
	switch {
	case c.Args().Len() != want:
		return wrong("%s takes %d argument(s); see %s --help", c.Name, want, c.FullName())
	case want == 1 && !onsale.DeliveryID(c.Args().First()).Valid():
		return wrong("%q is no delivery's id; onsale notify list names them", c.Args().First())
	case lane != "" && lane != onsale.LaneEmail && !onsale.WebhookID(lane).Valid():
		return wrong("--lane %q must be email or a webhook's id", lane)
	case want == 1 && lane != "":
		return wrong("--lane goes with --dead")
	case c.String("state") != "" && !onsale.DeliveryState(c.String("state")).Valid():
		return wrong("--state %q must be queued, sent or dead", c.String("state"))
	case takes(c, "limit") && (c.Int("limit") < 1 || c.Int("limit") > mostListed):
		return wrong("--limit must be from 1 to %d", mostListed)
	}
	return nil
}

func listDeliveries(ctx context.Context, c *cli.Command, store *persist.Store) error {
	found, err := store.Deliveries(ctx, onsale.DeliveryState(c.String("state")), onsale.Lane(c.String("lane")), c.Int("limit"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, append([]onsale.Delivery{}, found...))
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DELIVERY\tLANE\tSTATE\tATTEMPTS\tQUEUED\tORDER\tTOLD\tERROR")
	for _, d := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", d.ID, d.Lane, d.State, d.Attempts, d.QueuedAt.UTC().Format(time.RFC3339), d.Order, d.Told, d.Error)
	}
	return w.Flush()
}

func showDelivery(ctx context.Context, c *cli.Command, store *persist.Store) error {
	d, err := store.Delivery(ctx, onsale.DeliveryID(c.Args().First()))
	if err != nil {
		return err
	}
	return printJSON(c, d)
}

func replayDeliveries(ctx context.Context, c *cli.Command, store *persist.Store) error {
	total := 1
	var err error
	if c.Bool("dead") {
		total, err = store.ReplayDead(ctx, onsale.Lane(c.String("lane")))
	} else {
		err = store.ReplayDelivery(ctx, onsale.DeliveryID(c.Args().First()))
	}
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	_, err = fmt.Fprintf(c.Root().Writer, "%d queued again\n", total)
	return err
}

// mailConfig is how this process sends e-mail; nil if it doesn't.
func (s *settings) mailConfig() *notify.MailConfig {
	if s.smtp == "" {
		return nil
	}
	return &notify.MailConfig{Server: s.smtp, From: s.mailFrom, PublicURL: s.publicURL}
}

// checkMail refuses, in one line, what no mail can be sent with.
func (s *settings) checkMail(c *cli.Command) error {
	cfg := s.mailConfig()
	if cfg == nil || !takes(c, "smtp") {
		return nil
	}
	if err := cfg.Check(); err != nil {
		return wrong("--smtp, --mail-from, --public-url: %v", err)
	}
	return nil
}

// addNotifier adds what tells of orders besides the feed.
func (n *node) addNotifier() error {
	mail := n.mailConfig()
	if mail == nil {
		n.log.Info("this process sends no e-mail: --smtp is not set")
	} else {
		mail.Event = func(ctx context.Context, id onsale.EventID) (*onsale.Event, error) {
			l, err := n.store.Layout(ctx, id)
			if err != nil {
				return nil, err
			}
			return l.Event, nil
		}
	}
	notifier, err := notify.New(notify.Config{Broker: n.broker(), Book: n.store, Keys: notify.NewKeyring([]byte(n.secret)),
		Loopback: n.webhookLoopback, Mail: mail, Metrics: n.set, Log: n.log})
	if err != nil {
		return err
	}
	n.workers.Parts = append(n.workers.Parts, notifier)
	return nil
}
