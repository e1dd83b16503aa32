package main

import (
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/holds"
	"onsale/internal/fleet"
	"onsale/internal/kafka"
)

// minSecretLength is how long a secret must be, in bytes: 128 bits as hexadecimal.
const minSecretLength = 32

// defaultMaxFeeds is lowered where the limit on open files doesn't allow it.
const defaultMaxFeeds = 15_000

// defaultMaxFeedEffort leaves two thirds of the processors to those who buy.
const defaultMaxFeedEffort = 33

// defaultMaxFeedRate brings 150,000 browsers back in 15 s, and takes one processor.
const defaultMaxFeedRate = 10_000

// settings is what the roles share. Each has one name: as the flag --kafka, as the
// environment variable ONSALE_KAFKA, as kafka: in the file that --config names.
// The flag wins over the environment, the environment over the file.
type settings struct {
	file          string
	listen        string
	redis         string
	redisRead     string
	postgres      string
	postgresRead  string
	kafka         string
	kafkaPrefix   string
	partitions    int
	payments      string
	maxBacklog    int
	maxBacklogAge time.Duration
	secret        string
	webhookSecret string
	adminToken    string
	origins       string
	maxFeeds      int
	maxFeedsPerIP int
	maxFeedRate   int
	maxFeedEffort int // percent
	procs         int
	metricsListen string
	place         *fleet.Place // in a fleet of --procs; nil without one
	processors    float64      // that are this process's part; set by join
	logLevel      string

	paymentProvider string // providerSimulator, which "" is too, or providerStripe
	stripeKey       string
	paymentTimeout  time.Duration // 0: payment.DefaultGiveUp

	notify          bool
	smtp            string
	mailFrom        string
	publicURL       string
	webhookLoopback bool
}

// flags returns the flags of those settings that are named, after --config and
// --log-level, which every role has.
func (s *settings) flags(names ...string) []cli.Flag {
	known := map[string]cli.Flag{
		"listen":           s.text("listen", "127.0.0.1:8080", "serve HTTP on this `HOST:PORT`", &s.listen),
		"redis":            s.text("redis", "redis://127.0.0.1:6379/0", "Redis, as a `URL`: "+holds.AddressForms, &s.redis),
		"redis-read":       s.text("redis-read", "", "replicas of Redis to mirror the stock from, nearest first, as `URL,…` in --redis's forms; the master is the last resort", &s.redisRead),
		"postgres":         s.text("postgres", "postgres://onsale@127.0.0.1:5432/onsale", "Postgres, as a `URL`", &s.postgres),
		"postgres-read":    s.text("postgres-read", "", "streaming replicas of Postgres to list orders and audit from, nearest first, as `URL,…`; the master is the last resort", &s.postgresRead),
		"kafka":            s.text("kafka", "127.0.0.1:9092", "Kafka, as `HOST:PORT,…`", &s.kafka),
		"kafka-prefix":     s.text("kafka-prefix", "", "`TEXT` before every topic and group, so that several installations can share a cluster", &s.kafkaPrefix),
		"partitions":       s.number("partitions", kafka.DefaultPartitions, "`PARTITIONS` of a topic that doesn't exist yet", &s.partitions),
		"max-backlog":      s.number("max-backlog", checkout.DefaultMaxBacklog, "purchases that may wait to be settled, as a `NUMBER`; beyond it checkout answers 503", &s.maxBacklog),
		"max-backlog-age":  s.duration("max-backlog-age", checkout.DefaultMaxBacklogAge, "how long a purchase may wait to be claimed, as a `TIME`, such as 60s; beyond it checkout answers 503", &s.maxBacklogAge),
		"payments":         s.text("payments", "http://127.0.0.1:8090", "the payment provider, as a `URL`; of stripe, its own if this isn't given", &s.payments),
		"payment-provider": s.text("payment-provider", providerSimulator, "`NAME` of the payment provider: simulator or stripe", &s.paymentProvider),
		"stripe-key":       s.text("stripe-key", "", "Stripe's secret or restricted `KEY`; give it as ONSALE_STRIPE_KEY or in the file, where no list of processes shows it", &s.stripeKey),
		"payment-timeout":  s.duration("payment-timeout", payment.DefaultGiveUp, "a charge that is undecided after this `TIME`, from 1m to 12h, is called off", &s.paymentTimeout),
		"secret":           s.text("secret", "", "`TEXT` of 32 bytes or more that signs tokens, holds and tickets; the same in every process", &s.secret),
		"webhook-secret":   s.text("webhook-secret", "", "`TEXT` that signs the provider's notices; none are taken without it", &s.webhookSecret),
		"admin-token":      s.text("admin-token", "", "the operator's `TOKEN`; operators are refused without it", &s.adminToken),
		"origins":          s.text("origins", "", "web origins that may open feeds besides our own, as `URL,…`", &s.origins),
		"max-feeds":        s.number("max-feeds", defaultMaxFeeds, "open feeds at the most, as a `NUMBER`; at the most three quarters of the open files allowed", &s.maxFeeds),
		"max-feeds-per-ip": s.number("max-feeds-per-ip", 0, "open feeds of one IPv4 address or IPv6 /64 network at the most, as a `NUMBER`; 0 for no such limit, as behind a proxy", &s.maxFeedsPerIP),
		"max-feed-effort":  s.number("max-feed-effort", defaultMaxFeedEffort, "part of the processors that writing feeds may take, as a `NUMBER` from 1 to 100, in percent; one event's may take half of that. Less makes feeds tell the same later, in fewer frames; on a machine of their own, take 90", &s.maxFeedEffort),
		"max-feed-rate":    s.number("max-feed-rate", defaultMaxFeedRate, "feeds that may be opened a second, as a `NUMBER`; those beyond it wait to be accepted, so that a herd holds up nobody who buys", &s.maxFeedRate),
		"procs":            s.number("procs", 1, "serve in this `NUMBER` of processes behind one port, which share out the limits on feeds; each dead one is started again, SIGHUP replaces them one by one", &s.procs),
		"metrics-listen":   s.text("metrics-listen", "", "with --procs: process 1 answers /metrics and /readyz for itself on this `HOST:PORT` too, process 2 on the next port, and so on; port 0 for any", &s.metricsListen),
		"notify":           s.yesNo("notify", true, "tell of orders by e-mail and webhook too; --notify=false leaves it to onsale notify run", &s.notify),
		"smtp":             s.text("smtp", "", "hand e-mail in at this `URL`: smtp://user:password@host:587, with STARTTLS unless it is this machine, or smtps://…; none is sent without it", &s.smtp),
		"mail-from":        s.text("mail-from", "", "`ADDRESS` that e-mail is from, as tickets@example.com or Arena <tickets@example.com>", &s.mailFrom),
		"public-url":       s.text("public-url", "", "`URL` at which buyers find the pages, for the links in e-mail; none without it", &s.publicURL),
		"webhook-loopback": s.yesNo("webhook-loopback", false, "webhooks may be on this machine, by plain http too", &s.webhookLoopback),
	}
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "read settings from this YAML `FILE`", Destination: &s.file, Sources: cli.EnvVars("ONSALE_CONFIG")},
		s.text("log-level", "info", "`LEVEL`: debug, info, warn or error", &s.logLevel),
	}
	for _, name := range names {
		flags = append(flags, known[name])
	}
	return flags
}

func (s *settings) text(name, value, usage string, into *string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Destination: into, Sources: s.sources(name)}
}

func (s *settings) number(name string, value int, usage string, into *int) cli.Flag {
	return &cli.IntFlag{Name: name, Value: value, Usage: usage, Destination: into, Sources: s.sources(name)}
}

func (s *settings) duration(name string, value time.Duration, usage string, into *time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: name, Value: value, Usage: usage, Destination: into, Sources: s.sources(name)}
}

func (s *settings) yesNo(name string, value bool, usage string, into *bool) cli.Flag {
	return &cli.BoolFlag{Name: name, Value: value, Usage: usage, Destination: into, Sources: s.sources(name)}
}

// data is the flag of the data folder, for what runs stores of its own.
func (s *settings) data(into *string) cli.Flag {
	return s.text("data", "", "keep everything in this `FOLDER` (default: onsale in the user's cache folder)", into)
}

// sources are where a setting comes from when its flag isn't given.
func (s *settings) sources(name string) cli.ValueSourceChain {
	env := "ONSALE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return cli.NewValueSourceChain(cli.EnvVar(env), &fileSource{file: &s.file, name: name})
}

// checkRole refuses, in one line, what a role can't work with.
func (s *settings) checkRole(c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	return s.checkInstallation(c)
}

// checkInstallation is check for a command that works on an installation, which
// has a secret.
func (s *settings) checkInstallation(c *cli.Command) error {
	if s.secret == "" && takes(c, "secret") {
		return errSecret
	}
	return s.check(c)
}

var errSecret = wrong("--secret (or ONSALE_SECRET) must have %d bytes or more: make one with  openssl rand -hex 32", minSecretLength)

// kafkaNames is what Kafka takes in a name, short enough that a topic's fits.
var kafkaNames = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,100}$`)

// check refuses, in one line, a value that can't be meant, whoever takes it.
func (s *settings) check(c *cli.Command) error {
	if err := s.checkFile(c); err != nil {
		return err
	}
	switch {
	case s.secret != "" && len(s.secret) < minSecretLength:
		return errSecret
	case takes(c, "partitions") && (s.partitions < 1 || s.partitions > 1000):
		return wrong("--partitions must be from 1 to 1000")
	case takes(c, "max-feeds") && s.maxFeeds < 1:
		return wrong("--max-feeds must be 1 or more")
	case takes(c, "max-backlog") && s.maxBacklog < 1:
		return wrong("--max-backlog must be 1 or more")
	case takes(c, "max-backlog-age") && (s.maxBacklogAge < time.Second || s.maxBacklogAge > checkout.LongestBacklogAge):
		return wrong("--max-backlog-age must be from 1s to %v", checkout.LongestBacklogAge)
	case s.maxFeedsPerIP < 0:
		return wrong("--max-feeds-per-ip must be 0 (no limit) or more")
	case takes(c, "payment-timeout") && (s.paymentTimeout < minPaymentTimeout || s.paymentTimeout > payment.MaxGiveUp):
		return wrong("--payment-timeout must be from %s to %s", minPaymentTimeout, payment.MaxGiveUp)
	case !kafkaNames.MatchString(s.kafkaPrefix):
		return wrong("--kafka-prefix must be up to 100 of a-z, A-Z, 0-9, '.', '_' and '-'")
	}
	if err := errors.Join(s.checkPayments(c), s.checkProcesses(c)); err != nil {
		return err
	}
	if _, err := s.log(); err != nil {
		return err
	}
	return s.checkMail(c)
}

func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return wrong("%s takes flags only, not %q; see %s --help", c.Name, c.Args().First(), c.FullName())
	}
	return nil
}

func takes(c *cli.Command, flag string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == flag })
}

func (s *settings) log() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, wrong("--log-level %q must be debug, info, warn or error", s.logLevel)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if s.place != nil {
		log = log.With("process", s.place.Slot+1)
	}
	return log, nil
}

func (s *settings) broker() kafka.Broker {
	return kafka.Broker{Seeds: splitList(s.kafka), Prefix: s.kafkaPrefix}
}

func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
