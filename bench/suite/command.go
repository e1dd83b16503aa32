package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"onsale/bench"
)

// Command returns the bench's subcommand "all".
func Command() *cli.Command {
	return &cli.Command{
		Name:  "all",
		Usage: "a short form of every scenario, one after the other, in one report and one page",
		Description: "Takes a few minutes. One that fails doesn't stop the others, and fails the whole at the end: with 3 if a promise was\n" +
			"broken, else with 4 if one proved nothing, else with 1. Compare two such reports with onsale bench compare.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "only", Usage: "run these `SCENARIOS` only, such as engine,rush (default: " + strings.Join(names(), ",") + ")"},
			&cli.StringFlag{Name: "json", Usage: "write the list of reports to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of them to this `FILE`"},
		},
		Action: run,
	}
}

func names() (all []string) {
	for _, s := range Short {
		all = append(all, s.Name)
	}
	return all
}

func run(ctx context.Context, c *cli.Command) error {
	if err := bench.FlagsOnly(c); err != nil {
		return err
	}
	chosen := Short
	if only := c.String("only"); only != "" {
		chosen = nil
		for _, name := range strings.Split(only, ",") {
			i := slices.IndexFunc(Short, func(s Scenario) bool { return s.Name == name })
			if i < 0 {
				return &bench.ConfigError{Text: fmt.Sprintf("only: there is no scenario %q: say some of %s", name, strings.Join(names(), ","))}
			}
			chosen = append(chosen, Short[i])
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the onsale binary: %w", err)
	}
	_, err = Run(ctx, Config{Binary: self, Scenarios: chosen, Out: c.Root().Writer, Status: c.Root().ErrWriter, Done: func(reports []*bench.Report) error {
		var errs []error
		if path := c.String("json"); path != "" {
			errs = append(errs, bench.WriteReports(path, reports))
		}
		if path := c.String("html"); path != "" {
			errs = append(errs, bench.WritePage(path, reports))
		}
		return errors.Join(errs...)
	}})
	return err
}
