// Command onsale is the one binary of Onsale: every role, the operator's commands,
// the bench and the demo.
//
// It exits with 0 when all is well, 1 when something failed, 2 when it was asked
// wrongly or can't start as asked (one line says what to do), 3 when an invariant
// is broken, and 4 when a bench put no promise to the test.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/bench"
	"onsale/bench/compare"
	benchengine "onsale/bench/engine"
	"onsale/bench/faults"
	benchfeed "onsale/bench/feed"
	"onsale/bench/scaling"
	benchsettle "onsale/bench/settle"
	"onsale/bench/suite"
	"onsale/bench/tiers"
	"onsale/internal/crashpoint"
	"onsale/internal/fleet"
)

// version is set by the linker.
var version = "dev"

const (
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 3
	exitVoid   = 4
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err := crashpoint.Arm(); err != nil {
		os.Exit(exitCode(cantStart(err)))
	}
	context.AfterFunc(ctx, stop) // whoever signals twice doesn't want to wait
	os.Exit(execute(ctx, os.Args))
}

// execute runs a command line and returns what to exit with.
func execute(ctx context.Context, args []string) int {
	root := command()
	began := false
	_ = root.Walk(func(c *cli.Command) error { // returns what this returns
		c.OnUsageError = usageError
		act := c.Action
		if len(c.Commands) > 0 {
			act = chooseCommand
		}
		c.Action = func(ctx context.Context, c *cli.Command) error {
			began = true
			return act(ctx, c)
		}
		return nil
	})
	err := root.Run(ctx, args)
	if err != nil && !began { // what goes wrong in reading the command line was asked wrongly
		err = cantStart(err)
	}
	return exitCode(err)
}

func command() *cli.Command {
	return &cli.Command{
		Name:                   "onsale",
		Usage:                  "sell scarce tickets to a stampede",
		Version:                version,
		EnableShellCompletion:  true,
		UseShortOptionHandling: true,
		ExitErrHandler:         func(context.Context, *cli.Command, error) {}, // execute says what went wrong, once
		Commands: []*cli.Command{
			demoCommand(),
			serveCommand(),
			feedCommand(),
			settleCommand(),
			migrateCommand(),
			eventCommand(),
			orderCommand(),
			deadLettersCommand(),
			ticketCommand(),
			bench.Command(benchengine.Command(), benchsettle.Command(), benchfeed.Command(), benchfeed.WorkerCommand(), faults.Command(),
				tiers.Command(), scaling.Command(), compare.Command(), suite.Command()),
			notifyCommand(),
			storesCommand(),
			paysimCommand(),
			versionCommand(),
		},
	}
}

// chooseCommand is the action of a command that only has others: it lists them, or
// refuses one that it doesn't have.
func chooseCommand(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return wrong("there is no command %q; see %s --help", c.Args().First(), c.FullName())
	}
	if c.Root() == c {
		return cli.ShowRootCommandHelp(c)
	}
	return cli.ShowSubcommandHelp(c)
}

// usageError is a wrong flag: one line, and where to read more.
func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return wrong("%v; see %s --help", err, c.FullName())
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(_ context.Context, c *cli.Command) error {
			_, err := fmt.Fprintln(c.Root().Writer, "onsale", version)
			return err
		},
	}
}

// misuse is what was asked wrongly, or can't be started as asked: one line that
// says what to do.
type misuse struct{ text string }

func (m *misuse) Error() string { return m.text }

func wrong(format string, args ...any) error { return &misuse{fmt.Sprintf(format, args...)} }

// cantStart is an error of starting: what to do is in the error, on one line.
func cantStart(err error) error { return &misuse{err.Error()} }

// exitCode says what went wrong, on one line of standard error unless an audit has
// more to tell, and returns what to exit with. It asks for our own errors alone:
// an exit code of the library's, or of a child process, has another meaning.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var broken *onsale.AuditError
	var asked *misuse
	var benched *bench.ConfigError
	var ended *fleet.Ended
	if errors.As(err, &ended) && ended.First && ended.Code > 0 {
		return ended.Code // it has said why
	}
	fmt.Fprintln(os.Stderr, "onsale:", err)
	switch {
	case errors.As(err, &broken):
		return exitBroken
	case errors.As(err, &asked), errors.As(err, &benched):
		return exitUsage
	case errors.Is(err, bench.ErrVoid):
		return exitVoid
	}
	return exitFailed
}
