package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v3"
)

// The two storms that say whether a machine can hold a great sale: people who come over a minute for a
// big house, and people who all press at once for a small one. Both on one Onsale, one after the other.

// scenario is one of them, for 150,000 users; others get as much of everything.
type scenario struct {
	name     string
	over     time.Duration
	tickets  int
	mostLate time.Duration // that the bench may be itself; latencies count from when a request was due, so they have it in them
	aims     []Aim
}

// What they are hoped to keep to: milliseconds, requests, and the part of all requests. A press is counted until
// it is answered definitely (buyer.go), the first once a buyer besides, whom others' quick refusals
// don't outnumber. Of those who press all at once only the last answer counts, and when the house is empty.
var scenarios = []scenario{
	{"ramp", time.Minute, 50_000, defaultMostLate, []Aim{{Name: "hold_p50", Most: 50}, {Name: "hold_p99", Most: 200}, {Name: "answered_p99", Most: 200},
		{Name: "checkout_p50", Most: 50}, {Name: "checkout_p99", Most: 200}, {Name: "unanswered", Most: 0}, {Name: "error_rate", Most: 0.0001}}},
	{"spike", time.Second, 5_000, 10 * time.Second, []Aim{{Name: "answered_max", Most: 10_000}, {Name: "sold_out", Most: 3_000},
		{Name: "unanswered", Most: 0}, {Name: "error_rate", Most: 0.0001}}},
}

const (
	stormUsers = 150_000
	// stormThink is a person's mean pause: who has looked for an hour at a page that is about to open is quick,
	// and still is a person.
	stormThink = 2 * time.Second
)

// stormMix is what people want of a hall, an eighth of which is seats: about what there is.
var stormMix = Mix{Picked: 12, Best: 8, General: 80}

func stormsCommand() *cli.Command {
	return &cli.Command{
		Name: "storms", Usage: "two rushes of 150,000 buyers who watch before the doors open: over a minute for many tickets, at once for few",
		Description: "Starts Onsale as separate processes, and the crowd as workers. The JSON is a list of the two reports.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "users", Value: stormUsers, Usage: "simulated `BUYERS`; the tickets are in proportion"},
			&cli.IntFlag{Name: "workers", Usage: "deal them out to so many `PROCESSES` (default: what open files and processors ask for)"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`NUMBER` that decides who does what and when"},
			&cli.FloatFlag{Name: "bots", Value: defaultBots, Usage: "`PERCENT` of the buyers that are bots"},
			&cli.StringFlag{Name: "only", Usage: "`NAME` of one of them: ramp or spike (default: both)"},
			&cli.StringFlag{Name: "json", Usage: "write the reports to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of them to this `FILE`"},
		},
		Action: runStorms,
	}
}

func runStorms(ctx context.Context, c *cli.Command) (err error) {
	if err := FlagsOnly(c); err != nil {
		return err
	}
	users, workers, only := c.Int("users"), c.Int("workers"), c.String("only")
	if users < 1 || users > maxUsers {
		return wrong("users: %d must be from 1 to %d", users, maxUsers)
	}
	if workers == 0 {
		if workers, err = WorkersFor(users); err != nil {
			return err
		}
		workers = max(workers, 1)
	}
	chosen := slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return only != "" && only != s.name })
	if len(chosen) == 0 {
		return wrong("only: %q is neither ramp nor spike", only)
	}
	own, err := startCity(ctx, c.Root().ErrWriter, users)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.stop()) }()
	return deliverStorms(c, chosen, func(s scenario) (*Report, error) {
		return Rush(ctx, RushConfig{
			Users: users, Over: s.over, Tickets: max(1, s.tickets*users/stormUsers), Think: stormThink, Mix: stormMix, Seed: c.Uint64("seed"),
			Target: own.Target, FeedTarget: own.FeedTarget, AdminToken: own.AdminToken, Used: own.used,
			Bots: c.Float("bots") / 100, MostLate: s.mostLate,
			Storm: StormConfig{Workers: workers}, Progress: NewProgressWriter(c.Root().ErrWriter),
		})
	})
}

// deliverStorms makes one rush after the other, until one has no report, and writes what there is: what the
// first has found isn't lost with the second.
func deliverStorms(c *cli.Command, chosen []scenario, rush func(scenario) (*Report, error)) error {
	var reports []*Report
	var errs []error
	for _, s := range chosen {
		report, err := rush(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		if report == nil {
			break
		}
		report.Params["storm"] = s.name
		for _, aim := range s.aims {
			report.AimFor(aim.Name, aim.Most)
		}
		reports, errs = append(reports, report), append(errs, report.Table(c.Root().Writer))
	}
	if reports == nil {
		return errors.Join(errs...)
	}
	if path := c.String("json"); path != "" {
		errs = append(errs, WriteReports(path, reports))
	}
	if path := c.String("html"); path != "" {
		errs = append(errs, WritePage(path, reports))
	}
	return errors.Join(errs...)
}
