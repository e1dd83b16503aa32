package peers

import (
	"context"
	"errors"
	"log/slog"

	"onsale"
	"onsale/internal/stores"
)

// Kafka runs the embedded broker in a folder until ctx ends. It is no peer, but belongs in a process
// of its own where what settlement takes is measured. ready is told where it is, as a URL.
func Kafka(ctx context.Context, folder string, ready func(url string) error) error {
	broker := stores.NewKafka(stores.KafkaConfig{Folder: folder, Log: slog.New(slog.DiscardHandler)})
	if err := broker.Start(ctx); err != nil {
		return err
	}
	err := ready("http://" + broker.Seeds()[0])
	if err == nil {
		<-ctx.Done()
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), onsale.StopTimeout)
	defer cancel()
	return errors.Join(err, broker.Stop(stopping))
}
