package bench

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v3"

	"onsale"
)

// Command returns the command "bench" with a subcommand for each scenario, those of other packages too. It writes to
// the root command's Writer, and progress to its ErrWriter. A wrong flag comes back as a
// *ConfigError, a broken promise as an *onsale.AuditError.
func Command(more ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name:     "bench",
		Usage:    "storm a running Onsale and check that it kept its promises",
		Commands: append([]*cli.Command{rushCommand(), stormsCommand(), workerCommand(), holdsCommand(), peersCommand(), peerCommand(), brokerCommand(), pageCommand()}, more...),
	}
}

func rushCommand() *cli.Command {
	return &cli.Command{
		Name:  "rush",
		Usage: "a crowd buys: sign in, watch, hold, pay, wait for the result",
		Description: "Buyers arrive at times that are fixed in advance, however slow the answers are; latencies count from when\n" +
			"a request should have been sent until it is answered definitely: who is told to come again later waits on. Ends with an audit; exits with 3 if a promise is broken.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "users", Value: defaultUsers, Usage: "simulated `BUYERS`"},
			&cli.DurationFlag{Name: "over", Value: defaultOver, Usage: "the `TIME` their arrivals are spread over"},
			&cli.StringFlag{Name: "profile", Value: ProfilePoisson, Usage: "how they are spread: spike (all within a second), ramp (rising), wave (four), poisson, or a `FILE.csv` of lines \"second,arrivals\", which says how many and how long too"},
			&cli.StringFlag{Name: "mix", Value: "picked=40,best=25,general=35", Usage: "`WEIGHTS` of what they ask for: seats picked on the map, the best available, general admission"},
			&cli.FloatFlag{Name: "bots", Value: defaultBots, Usage: "`PERCENT` of them that are bots: no pause, many keys at once, more than a buyer may have"},
			&cli.DurationFlag{Name: "most-late", Value: defaultMostLate, Usage: "the run is void if the bench itself sent 1 of 100 requests later than this `TIME` after it was due"},
			&cli.StringFlag{Name: "target", Value: defaultTarget, Usage: "base `URL` of the front tier"},
			&cli.StringFlag{Name: "feed", Usage: "base `URL` of the feed, if it is another process, or several with commas (default: the target)"},
			&cli.StringFlag{Name: "admin-token", Usage: "the operator's `TOKEN`", Sources: cli.EnvVars("ONSALE_ADMIN_TOKEN")},
			&cli.StringFlag{Name: "event", Usage: "storm this open event, by its `ID` (default: one made for the rush)"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`NUMBER` that decides who does what and when"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
			&cli.BoolFlag{Name: "embedded", Usage: "storm an Onsale of its own, started for the rush, instead of a target"},
			&cli.BoolFlag{Name: "yes-i-own-this", Usage: "the target may be another machine, because it is mine"},
			&cli.IntFlag{Name: "tickets", Usage: "`ADMISSIONS` of the event made for the rush (default: 1.5 for each buyer)"},
			&cli.DurationFlag{Name: "think", Value: defaultThink, Usage: "a person's mean `PAUSE` between two steps"},
			&cli.IntFlag{Name: "workers", Usage: "deal the buyers out to so many `PROCESSES`, who open their feeds before the doors open (default: none up to 5,000 users, else what open files and processors ask for)"},
			&cli.IntFlag{Name: "await", Usage: "wait for so many `WORKERS` of other machines, started there with bench worker"},
			&cli.StringFlag{Name: "listen", Usage: "where workers of other machines join, as `HOST:PORT`"},
			tokenFlag(),
		},
		Action: runRush,
	}
}

func runRush(ctx context.Context, c *cli.Command) (err error) {
	if err := FlagsOnly(c); err != nil {
		return err
	}
	if c.Int("users") == 0 || c.Duration("over") == 0 || c.Uint64("seed") == 0 { // which RushConfig takes for "the default"
		return wrong("--users, --over and --seed must not be 0; for all buyers at once say --over 1ms")
	}
	profile, err := ParseProfile(c.String("profile"))
	if err != nil {
		return err
	}
	mix, err := ParseMix(c.String("mix"))
	if err != nil {
		return err
	}
	cfg := RushConfig{
		Profile: profile, Mix: mix, Bots: c.Float("bots") / 100, MostLate: c.Duration("most-late"),
		Users: c.Int("users"), Over: c.Duration("over"), Target: c.String("target"), FeedTarget: c.String("feed"),
		AdminToken: c.String("admin-token"), Event: onsale.EventID(c.String("event")), Seed: c.Uint64("seed"),
		Remote: c.Bool("yes-i-own-this"), Progress: NewProgressWriter(c.Root().ErrWriter),
		Tickets: c.Int("tickets"), Think: c.Duration("think"),
		Storm: StormConfig{Workers: c.Int("workers"), Await: c.Int("await"), Listen: c.String("listen"), Token: c.String("token")},
	}
	if !c.IsSet("workers") && cfg.Storm.Await == 0 {
		if cfg.Storm.Workers, err = WorkersFor(cfg.Users); err != nil {
			return err
		}
	}
	if profile.Counts != nil && !c.IsSet("users") {
		cfg.Users = 0 // as many as the file has
	}
	if c.Bool("embedded") {
		if c.IsSet("target") || c.IsSet("feed") || c.IsSet("event") {
			return wrong("--embedded starts its own Onsale: leave --target, --feed and --event away")
		}
		stop, startErr := embed(ctx, c.Root().ErrWriter, &cfg)
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	report, err := Rush(ctx, cfg)
	return Deliver(c, report, err)
}

// embed starts what is stormed: one process for a crowd of one, a city for a storm.
func embed(ctx context.Context, status io.Writer, cfg *RushConfig) (stop func() error, err error) {
	if !cfg.Storm.deals() {
		own, err := startEmbedded(ctx, status)
		if err != nil {
			return nil, err
		}
		cfg.Target, cfg.AdminToken = own.URL, own.AdminToken
		return own.stop, nil
	}
	own, err := startCity(ctx, status, cfg.Users)
	if err != nil {
		return nil, err
	}
	cfg.Target, cfg.FeedTarget, cfg.AdminToken = own.Target, own.FeedTarget, own.AdminToken
	cfg.Used = own.used
	return own.stop, nil
}

func holdsCommand() *cli.Command {
	return &cli.Command{
		Name:  "holds",
		Usage: "how many holds and refusals a second over HTTP, against a no-op and against row locks",
		Description: "Starts an Onsale, a server that does nothing, and one that sells by Postgres row locks, and lets the same\n" +
			"crowd ask each in turns. Ratios are taken within a round; their medians are reported. Ends with an audit.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rounds", Value: defaultRounds, Usage: "`ROUNDS` that count"},
			&cli.DurationFlag{Name: "lasting", Value: defaultLasting, Usage: "the `TIME` that each works in a round"},
			&cli.IntFlag{Name: "connections", Value: defaultConnections, Usage: "`CONNECTIONS` of the crowd"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: runHolds,
	}
}

func runHolds(ctx context.Context, c *cli.Command) error {
	if err := FlagsOnly(c); err != nil {
		return err
	}
	report, err := Holds(ctx, HoldsConfig{
		Rounds: c.Int("rounds"), Lasting: c.Duration("lasting"), Connections: c.Int("connections"), Status: c.Root().ErrWriter,
	})
	return Deliver(c, report, err)
}

// FlagsOnly refuses a scenario's command line that has more than flags.
func FlagsOnly(c *cli.Command) error {
	if c.Args().Present() {
		return wrong("%s takes flags only, not %q: see onsale bench %s --help", c.Name, c.Args().First(), c.Name)
	}
	return nil
}

// Deliver prints a report and writes it where it was asked for.
func Deliver(c *cli.Command, report *Report, err error) error {
	if report == nil {
		return err
	}
	err = errors.Join(err, report.Table(c.Root().Writer))
	if path := c.String("json"); path != "" {
		err = errors.Join(err, report.Write(path))
	}
	if path := c.String("html"); path != "" {
		err = errors.Join(err, WritePage(path, []*Report{report}))
	}
	return err
}
