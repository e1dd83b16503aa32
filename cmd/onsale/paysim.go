package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"onsale/checkout/payment/simulator"
	"onsale/internal/lifecycle"
)

func paysimCommand() *cli.Command {
	s := &settings{}
	cfg := simulator.Config{}
	return &cli.Command{
		Name: "paysim", Usage: "the payment simulator: a provider that misbehaves like a real one",
		Description: "Tokens decide a charge: tok_ok, tok_decline, tok_late_MS, tok_delay_MS, tok_timeout, tok_twice, tok_error, tok_broken, tok_invalid,\n" +
			"and its refunds: tok_refund_timeout, tok_refund_error, tok_refund_broken, tok_refund_refused.\n" +
			"PUT /v1/behaviour sets probabilities for all others while it runs.",
		Flags: append(s.flags("webhook-secret"),
			s.text("listen", "127.0.0.1:8090", "serve HTTP on this `HOST:PORT`", &cfg.Listen),
			s.text("ledger", "", "keep the ledger in this `FILE` (default: in memory)", &cfg.Ledger),
			s.text("webhook-url", "", "send notices to this `URL` (default: send none)", &cfg.WebhookURL),
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := s.checkRole(c); err != nil {
				return err
			}
			log, err := s.log()
			if err != nil {
				return err
			}
			cfg.Log, cfg.WebhookSecret = log, []byte(s.webhookSecret)
			sim, err := simulator.New(cfg)
			if err != nil {
				return cantStart(err)
			}
			return runUntilDone(ctx, sim, func() { log.Info("serving", "role", "paysim", "url", sim.URL()) })
		},
	}
}

// runUntilDone starts a part, says that it runs, and stops it when ctx ends.
func runUntilDone(ctx context.Context, p lifecycle.Part, started func()) error {
	if err := p.Start(ctx); err != nil {
		return cantStart(err)
	}
	started()
	<-ctx.Done()
	return p.Stop(context.WithoutCancel(ctx))
}
