package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"onsale/bench/page"
)

// WritePage writes one self-contained page of the reports, with charts: see package page.
func WritePage(path string, reports []*Report) error {
	body, err := json.Marshal(reports)
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	var b bytes.Buffer
	if err := page.Write(&b, body); err != nil {
		return err
	}
	if err := WriteFile(path, b.Bytes()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

func pageCommand() *cli.Command {
	return &cli.Command{
		Name:        "page",
		Usage:       "make one page, with charts, of stored reports",
		ArgsUsage:   "REPORT.json…",
		Description: "The page is one file that needs no network; each report of each file, which may be a list, is a tab.",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "html", Usage: "write the page to this `FILE`", Required: true}},
		Action: func(_ context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return wrong("page: give the reports to show: onsale bench page A.json B.json --html FILE")
			}
			var reports []*Report
			for _, path := range c.Args().Slice() {
				more, err := ReadReports(path)
				if err != nil {
					return wrong("%v", err)
				}
				reports = append(reports, more...)
			}
			return WritePage(c.String("html"), reports)
		},
	}
}
