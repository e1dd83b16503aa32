package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"onsale/bench/peers"
)

func peersCommand() *cli.Command {
	return &cli.Command{
		Name:  "peers",
		Usage: "Onsale beside the ways in which others sell tickets: holds and refusals a second, latency, CPU time",
		Description: "The same crowd asks Onsale, a server that does nothing, and each peer in turns; ratios are taken within a round.\n" +
			"What each sold is audited at the end: exits with 3 if one sold too much. Peers: " + strings.Join(peers.All(), ", ") + ".\n" +
			"With --target your own system is asked as well: bench/peers/README.md says what it must answer.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "peer", Value: peers.Usual(), Usage: "the peers' `NAMES`, separated by commas, or none"},
			&cli.StringFlag{Name: "target", Usage: "base `URL` of a system of your own"},
			&cli.StringFlag{Name: "adapter", Value: adapterHTTP, Usage: "what the target speaks: `http`"},
			&cli.BoolFlag{Name: "yes-i-own-this", Usage: "the target may be another machine, because it is mine"},
			&cli.IntFlag{Name: "rounds", Value: defaultRounds, Usage: "`ROUNDS` that count"},
			&cli.DurationFlag{Name: "lasting", Value: defaultLasting, Usage: "the `TIME` that each works in a round, once for holds and once for refusals"},
			&cli.IntFlag{Name: "connections", Value: defaultConnections, Usage: "`CONNECTIONS` of the crowd to each"},
			&cli.StringFlag{Name: "json", Usage: "write the report to this `FILE`"},
			&cli.StringFlag{Name: "html", Usage: "write a page with charts of it to this `FILE`"},
		},
		Action: runPeers,
	}
}

// adapterHTTP is the one adapter there is for a stranger's system: bench/peers/README.md.
const adapterHTTP = "http"

func runPeers(ctx context.Context, c *cli.Command) error {
	if err := FlagsOnly(c); err != nil {
		return err
	}
	if adapter := c.String("adapter"); adapter != adapterHTTP {
		return wrong("--adapter: %q is not one: say %s", adapter, adapterHTTP)
	}
	names := c.StringSlice("peer")
	if slices.Equal(names, []string{"none"}) {
		names = nil
	}
	report, err := Peers(ctx, PeersConfig{
		Peers: names, Target: c.String("target"), Remote: c.Bool("yes-i-own-this"),
		HoldsConfig: HoldsConfig{Rounds: c.Int("rounds"), Lasting: c.Duration("lasting"), Connections: c.Int("connections"), Status: c.Root().ErrWriter},
	})
	return Deliver(c, report, err)
}

// peerCommand runs what Onsale is measured against, as a process of its own.
func peerCommand() *cli.Command {
	return &cli.Command{
		Name: "peer", Hidden: true, Usage: "serve as something that Onsale is measured against: noop, " + strings.Join(peers.All(), ", "),
		Action: func(ctx context.Context, c *cli.Command) error {
			ready := func(url string) error {
				_, err := fmt.Fprintln(c.Root().Writer, "serving "+url)
				return err
			}
			name := c.Args().First()
			if name == "noop" {
				return peers.Serve(ctx, peers.Noop, ready)
			}
			way, ok := peers.Find(name)
			if !ok {
				return wrong("peer: %q is not one: say noop, %s", name, strings.Join(peers.All(), ", "))
			}
			return way.Run(ctx, ready)
		},
	}
}
