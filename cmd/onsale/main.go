// Command onsale is the one binary of Onsale: every role, the operator's commands,
// the bench and the demo.
//
// It exits with 0 when all is well, 1 when something failed, 2 when it was asked
// wrongly or can't start as asked (one line says what to do), and 3 when an
// invariant is broken.
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
)

// version is set by the linker.
var version = "dev"

const (
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().Run(ctx, os.Args)
	stop()
	os.Exit(exitCode(err))
}

func command() *cli.Command {
	return &cli.Command{
		Name:                   "onsale",
		Usage:                  "sell scarce tickets to a stampede",
		Version:                version,
		EnableShellCompletion:  true,
		UseShortOptionHandling: true,
		Suggest:                true,
		ExitErrHandler:         func(context.Context, *cli.Command, error) {}, // main says what went wrong, once
		OnUsageError:           usageError,
		Commands: []*cli.Command{
			demoCommand(),
			serveCommand(),
			feedCommand(),
			settleCommand(),
			migrateCommand(),
			eventCommand(),
			bench.Command(),
			storesCommand(),
			paysimCommand(),
			versionCommand(),
		},
	}
}

// usageError is a wrong flag: one line, and where to read more.
func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return cli.Exit(fmt.Sprintf("%v; see %s --help", err, c.FullName()), exitUsage)
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

// exitCode says what went wrong, on one line of standard error unless an audit has
// more to tell, and returns what to exit with.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var broken *onsale.AuditError
	var coded cli.ExitCoder
	fmt.Fprintln(os.Stderr, "onsale:", err)
	switch {
	case errors.As(err, &broken):
		return exitBroken
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	return exitFailed
}

// cantStart is an error of starting: what to do is in the error, on one line.
func cantStart(err error) error { return cli.Exit(err.Error(), exitUsage) }
