package scaling

import "github.com/urfave/cli/v3"

// Command is.
func Command() *cli.Command { return &cli.Command{Name: "scaling"} }
