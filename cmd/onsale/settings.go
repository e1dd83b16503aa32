package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v3"

	"onsale/internal/kafka"
)

// minSecretLength is how long a secret must be, in bytes: 128 bits as hexadecimal.
const minSecretLength = 32

// settings is what the roles share. Each has one name: as the flag --kafka, as the
// environment variable ONSALE_KAFKA, as kafka: in the file that --config names.
// The flag wins over the environment, the environment over the file.
type settings struct {
	file          string
	listen        string
	redis         string
	postgres      string
	kafka         string
	partitions    int
	payments      string
	secret        string
	webhookSecret string
	adminToken    string
	origins       string
	maxFeeds      int
	logLevel      string
}

// flags returns the flags of those settings that are named, after --config and
// --log-level, which every role has.
func (s *settings) flags(names ...string) []cli.Flag {
	text := func(name, value, usage string, into *string) cli.Flag {
		return &cli.StringFlag{Name: name, Value: value, Usage: usage, Destination: into, Sources: s.sources(name)}
	}
	number := func(name string, value int, usage string, into *int) cli.Flag {
		return &cli.IntFlag{Name: name, Value: value, Usage: usage, Destination: into, Sources: s.sources(name)}
	}
	known := map[string]cli.Flag{
		"listen":         text("listen", "127.0.0.1:8080", "serve HTTP on this `HOST:PORT`", &s.listen),
		"redis":          text("redis", "redis://127.0.0.1:6379/0", "Redis, as a `URL`", &s.redis),
		"postgres":       text("postgres", "postgres://onsale@127.0.0.1:5432/onsale", "Postgres, as a `URL`", &s.postgres),
		"kafka":          text("kafka", "127.0.0.1:9092", "Kafka, as `HOST:PORT,…`", &s.kafka),
		"partitions":     number("partitions", kafka.DefaultPartitions, "`PARTITIONS` of a topic that doesn't exist yet", &s.partitions),
		"payments":       text("payments", "http://127.0.0.1:8090", "the payment provider, as a `URL`", &s.payments),
		"secret":         text("secret", "", "`TEXT` of 32 bytes or more that signs tokens, holds and tickets; the same in every process", &s.secret),
		"webhook-secret": text("webhook-secret", "", "`TEXT` that signs the provider's notices; none are taken without it", &s.webhookSecret),
		"admin-token":    text("admin-token", "", "the operator's `TOKEN`; operators are refused without it", &s.adminToken),
		"origins":        text("origins", "", "web origins that may open feeds besides our own, as `URL,…`", &s.origins),
		"max-feeds":      number("max-feeds", 15_000, "open feeds at the most, as a `NUMBER` below the limit on open files", &s.maxFeeds),
	}
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "read settings from this YAML `FILE`", Destination: &s.file, Sources: cli.EnvVars("ONSALE_CONFIG")},
		text("log-level", "info", "`LEVEL`: debug, info, warn or error", &s.logLevel),
	}
	for _, name := range names {
		flags = append(flags, known[name])
	}
	return flags
}

// sources are where a setting comes from when its flag isn't given.
func (s *settings) sources(name string) cli.ValueSourceChain {
	env := "ONSALE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return cli.NewValueSourceChain(cli.EnvVar(env), &fileSource{file: &s.file, name: name})
}

// fileSource looks a setting up in the YAML file. The file's name is known when it
// is asked: --config stands before all other flags.
type fileSource struct {
	file *string
	name string
}

func (f *fileSource) Lookup() (string, bool) {
	if *f.file == "" {
		return "", false
	}
	values, err := readSettings(*f.file)
	if err != nil {
		return "", false // checkFile says so, once
	}
	value, ok := values[f.name]
	return fmt.Sprint(value), ok
}

func (f *fileSource) String() string   { return fmt.Sprintf("%s in the file of --config", f.name) }
func (f *fileSource) GoString() string { return fmt.Sprintf("&fileSource{name: %q}", f.name) }

func readSettings(file string) (map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("can't read the settings: %w", err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("the settings in %s must be lines of NAME: VALUE", file)
	}
	return values, nil
}

// check refuses what no role can work with, in one line.
func (s *settings) check(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return cli.Exit(fmt.Sprintf("%s takes flags only, not %q; see %s --help", c.Name, c.Args().First(), c.FullName()), exitUsage)
	}
	return s.checkFlags(c)
}

func (s *settings) checkFlags(c *cli.Command) error {
	if s.file != "" {
		values, err := readSettings(s.file)
		if err != nil {
			return cantStart(err)
		}
		known := map[string]bool{}
		for _, name := range allSettings {
			known[name] = true
		}
		for name := range values {
			if !known[name] {
				return cli.Exit(fmt.Sprintf("%s: there is no setting %q; the settings are %s", s.file, name, strings.Join(allSettings, ", ")), exitUsage)
			}
		}
	}
	has := map[string]bool{}
	for _, f := range c.Flags {
		has[f.Names()[0]] = true
	}
	switch {
	case has["secret"] && len(s.secret) < minSecretLength:
		return cli.Exit("--secret (or ONSALE_SECRET) must have 32 bytes or more: make one with  openssl rand -hex 32", exitUsage)
	case has["partitions"] && (s.partitions < 1 || s.partitions > 1000):
		return cli.Exit("--partitions must be from 1 to 1000", exitUsage)
	case has["max-feeds"] && s.maxFeeds < 1:
		return cli.Exit("--max-feeds must be 1 or more", exitUsage)
	}
	if _, err := s.log(); err != nil {
		return err
	}
	return nil
}

// allSettings are the names that a settings file may have.
var allSettings = []string{"listen", "redis", "postgres", "kafka", "partitions", "payments", "secret", "webhook-secret",
	"admin-token", "origins", "max-feeds", "log-level"}

func (s *settings) log() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, cli.Exit(fmt.Sprintf("--log-level %q must be debug, info, warn or error", s.logLevel), exitUsage)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

func (s *settings) broker() kafka.Broker { return kafka.Broker{Seeds: splitList(s.kafka)} }

func splitList(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
