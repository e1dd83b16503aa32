package scaling

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"
)

// Command returns the command "scaling", which works on the reports of the other scenarios.
func Command() *cli.Command {
	var write string
	return &cli.Command{
		Name:      "scaling",
		Usage:     "what a sale of 150,000, 1 million and 10 million buyers takes, from what the other scenarios have measured",
		ArgsUsage: "REPORT.json …",
		Description: "Takes the JSON reports of bench engine, holds, settle, feed and tiers, one of each in any order, and prints the tables of\n" +
			"the capacity model. The same reports make the same tables. make scaling measures all of them in a short form.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "write", Usage: "put the tables between the marks of this `FILE` instead", Destination: &write},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return wrong("scaling needs reports, such as build/bench/*.json: make scaling makes them")
			}
			reports, err := Read(c.Args().Slice()...)
			if err != nil {
				return err
			}
			text, err := Generate(reports)
			if err != nil {
				return err
			}
			if write != "" {
				return rewrite(write, text)
			}
			_, err = fmt.Fprint(c.Root().Writer, text)
			return err
		},
	}
}
