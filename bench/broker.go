package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/internal/stores"
)

// Broker are the words that run the embedded Kafka alone, as a process of its own: one
// that can be killed, and what it keeps isn't taken for what its user keeps. It says
// "serving" and its address, as a URL. Clients are told to come to the advertised
// HOST:PORT; "" for the broker's own.
func Broker(folder, advertise string) []string {
	return []string{"bench", "broker", "--folder", folder, "--advertise", advertise}
}

func brokerCommand() *cli.Command {
	return &cli.Command{
		Name: "broker", Hidden: true, Usage: "run the embedded Kafka alone",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "folder", Usage: "keep everything in this `FOLDER`", Required: true},
			&cli.StringFlag{Name: "advertise", Usage: "tell clients to come to this `HOST:PORT` (default: where it listens)"},
		},
		Action: runBroker,
	}
}

func runBroker(ctx context.Context, c *cli.Command) error {
	if err := FlagsOnly(c); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.Root().ErrWriter, nil))
	broker := stores.NewKafka(stores.KafkaConfig{Folder: c.String("folder"), Advertise: c.String("advertise"), Log: log})
	if err := broker.Start(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.Root().Writer, "serving http://"+broker.Seeds()[0])
	if err == nil {
		<-ctx.Done()
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), onsale.StopTimeout)
	defer cancel()
	if stopErr := broker.Stop(stopping); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("the broker did not stop in good order: %w", stopErr))
	}
	return err
}
