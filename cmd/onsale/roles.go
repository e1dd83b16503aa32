package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/VictoriaMetrics/metrics"
	"github.com/urfave/cli/v3"

	"onsale/persist"
)

var storeSettings = []string{"redis", "postgres", "kafka", "kafka-prefix", "partitions", "payments", "payment-provider", "stripe-key", "secret"}

func serveCommand() *cli.Command {
	return roleCommand("serve", "the front tier: API, pages and feed on one port", roles{front: true, feed: true},
		"listen", "redis-read", "postgres-read", "admin-token", "webhook-secret", "webhook-loopback", "origins", "max-feeds", "max-feeds-per-ip", "max-feed-rate", "max-feed-effort",
		"max-backlog", "max-backlog-age", "procs", "metrics-listen")
}

func feedCommand() *cli.Command {
	return roleCommand("feed", "the live feed alone", roles{feed: true}, "listen", "redis-read", "origins", "max-feeds", "max-feeds-per-ip", "max-feed-rate", "max-feed-effort", "procs", "metrics-listen")
}

func settleCommand() *cli.Command {
	return roleCommand("settle", "the workers: claim, charge, finalise, confirm, recover, tell", roles{settle: true}, append(notifySettings, "listen", "payment-timeout", "notify")...)
}

func roleCommand(name, usage string, r roles, more ...string) *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: name, Usage: usage,
		Flags: s.flags(append(more, storeSettings...)...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := errors.Join(s.join(), s.checkRole(c)); err != nil {
				return err
			}
			if s.place == nil && s.procs > 1 {
				return s.runFleet(ctx, name)
			}
			n, err := newNode(*s)
			if err != nil {
				return err
			}
			if err := n.start(ctx, r); err != nil {
				return cantStart(err)
			}
			if err := n.serving(name); err != nil {
				return errors.Join(err, n.stop(ctx))
			}
			select {
			case <-ctx.Done():
				n.log.Info("stopping")
			case err = <-n.server.Exited():
			}
			return errors.Join(err, n.stop(ctx))
		},
	}
}

func newNode(s settings) (*node, error) {
	log, err := s.log()
	if err != nil {
		return nil, err
	}
	return &node{settings: s, log: log, set: metrics.NewSet()}, nil
}

func migrateCommand() *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: "migrate", Usage: "bring Postgres's tables to this version",
		Description: "The URL must lead to Postgres itself, not to a pooler in transaction mode.",
		Flags:       s.flags("postgres"),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := s.checkRole(c); err != nil {
				return err
			}
			if err := persist.Migrate(ctx, s.postgres); err != nil {
				return cantStart(err)
			}
			_, err := fmt.Fprintln(os.Stdout, "the tables are up to date")
			return err
		},
	}
}
