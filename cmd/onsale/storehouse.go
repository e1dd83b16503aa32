package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"onsale/checkout/payment/simulator"
	"onsale/internal/lifecycle"
	"onsale/internal/stores"
)

// storehouse is everything that Onsale stands on, on one machine with nothing to
// configure: private servers in one data folder. A URL that is given wins over a
// server of ours.
type storehouse struct {
	folder string
	lock   *stores.FolderLock
	redis  *stores.Redis        // nil if a URL was given
	pg     *stores.Postgres     // nil if a URL was given
	kafka  *stores.Kafka        // nil if an address was given
	sim    *simulator.Simulator // nil if a URL was given
	chain  lifecycle.Chain
}

// openStorehouse starts what isn't given and writes where everything is into s.
func openStorehouse(ctx context.Context, s *settings, folder string, log *slog.Logger) (*storehouse, error) {
	if folder == "" {
		var err error
		if folder, err = stores.DefaultFolder(); err != nil {
			return nil, err
		}
	}
	lock, err := stores.Lock(folder)
	if err != nil {
		return nil, err
	}
	h := &storehouse{folder: folder, lock: lock}
	if s.secret, err = keptSecret(folder, "secret", s.secret); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	if s.adminToken, err = keptSecret(folder, "admin-token", s.adminToken); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	if s.webhookSecret, err = keptSecret(folder, "webhook-secret", s.webhookSecret); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	if err := h.plan(s, log); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	if err := h.chain.Start(ctx); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	if h.redis != nil {
		s.redis = h.redis.URL()
	}
	if h.pg != nil {
		s.postgres = h.pg.URL()
	}
	if h.kafka != nil {
		s.kafka = strings.Join(h.kafka.Seeds(), ",")
	}
	if h.sim != nil {
		s.payments = h.sim.URL()
	}
	return h, nil
}

// plan makes the servers that no URL was given for.
func (h *storehouse) plan(s *settings, log *slog.Logger) error {
	at := func(name string) string { return filepath.Join(h.folder, name) }
	if s.redis == "" {
		h.redis = stores.NewRedis(stores.RedisConfig{Folder: at("redis"), Log: log})
		h.chain.Parts = append(h.chain.Parts, h.redis)
	}
	if s.postgres == "" {
		h.pg = stores.NewPostgres(stores.PostgresConfig{Folder: at("postgres"), Log: log})
		h.chain.Parts = append(h.chain.Parts, h.pg)
	}
	if s.kafka == "" {
		h.kafka = stores.NewKafka(stores.KafkaConfig{Folder: at("kafka"), Log: log})
		h.chain.Parts = append(h.chain.Parts, h.kafka)
	}
	if s.payments == "" {
		sim, err := simulator.New(simulator.Config{Ledger: at("payments.jsonl"), Log: log, WebhookSecret: []byte(s.webhookSecret)})
		if err != nil {
			return err
		}
		h.sim = sim
		h.chain.Parts = append(h.chain.Parts, sim)
	}
	return nil
}

// notify has the payment simulator, if it is ours, send its notices to a front tier.
func (h *storehouse) notify(front string) {
	if h.sim != nil {
		h.sim.SetWebhookURL(front + "/v1/webhooks/payments")
	}
}

// died waits until a server of ours, or whatever tells also, ends by itself, and
// returns why; or until ctx ends, and returns nil.
func (h *storehouse) died(ctx context.Context, also <-chan error) error {
	var redis, postgres <-chan error // nil, which says nothing, if it isn't ours
	if h.redis != nil {
		redis = h.redis.Exited()
	}
	if h.pg != nil {
		postgres = h.pg.Exited()
	}
	select {
	case err := <-redis:
		return err
	case err := <-postgres:
		return err
	case err := <-also:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (h *storehouse) close(ctx context.Context) error {
	return errors.Join(h.chain.Stop(context.WithoutCancel(ctx)), h.lock.Unlock())
}

// keptSecret is the given text or, if it is empty, 256 random bits that are kept in
// the data folder.
func keptSecret(folder, name, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	path := filepath.Join(folder, name)
	text, err := os.ReadFile(path)
	if err == nil && len(text) >= minSecretLength {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the kept %s: %w", name, err)
	}
	var bits [32]byte
	rand.Read(bits[:])
	made := hex.EncodeToString(bits[:])
	if err := os.WriteFile(path, []byte(made), 0o600); err != nil {
		return "", fmt.Errorf("keep a %s in the data folder: %w", name, err)
	}
	return made, nil
}

// given clears the settings' addresses that came from no flag, variable or file:
// for those the storehouse has servers of its own.
func (s *settings) given(c *cli.Command) {
	for name, into := range map[string]*string{"redis": &s.redis, "postgres": &s.postgres, "kafka": &s.kafka, "payments": &s.payments} {
		if !c.IsSet(name) {
			*into = ""
		}
	}
}

func storesCommand() *cli.Command {
	s := &settings{}
	var folder, front string
	return &cli.Command{
		Name: "stores", Usage: "run private Redis, Postgres, Kafka and payment simulator, and print where they are",
		Description: "For trying the roles one by one on this machine:\n\n   umask 077; onsale stores > env.sh &    then, in other terminals:    . ./env.sh; onsale serve\n\n" +
			"env.sh holds every secret: nobody else may read it.",
		Flags: append(s.flags("redis", "postgres", "kafka", "kafka-prefix", "payments", "secret", "admin-token", "webhook-secret"),
			s.data(&folder),
			s.text("front", "http://127.0.0.1:8080", "base `URL` of the onsale serve that the simulator sends its notices to", &front)),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := errors.Join(noArguments(c), s.check(c)); err != nil {
				return err
			}
			s.given(c)
			log, err := s.log()
			if err != nil {
				return err
			}
			h, err := openStorehouse(ctx, s, folder, log)
			if err != nil {
				return cantStart(err)
			}
			h.notify(front)
			if err := migrate(ctx, s); err != nil {
				return errors.Join(cantStart(err), h.close(ctx))
			}
			for _, v := range []struct{ name, value string }{
				{"REDIS", s.redis}, {"POSTGRES", s.postgres}, {"KAFKA", s.kafka}, {"KAFKA_PREFIX", s.kafkaPrefix}, {"PAYMENTS", s.payments},
				{"SECRET", s.secret}, {"ADMIN_TOKEN", s.adminToken}, {"WEBHOOK_SECRET", s.webhookSecret},
			} {
				fmt.Fprintf(c.Root().Writer, "export ONSALE_%s='%s'\n", v.name, v.value)
			}
			return errors.Join(h.died(ctx, nil), h.close(ctx))
		},
	}
}
