package kafka

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale/internal/lifecycle"
)

// TailConfig says what a tail reads and whom it tells.
type TailConfig struct {
	Broker Broker
	Topic  string         // one of the root package's topics
	Handle func([]Record) // called by one goroutine, in order within a partition; must not block
	Log    *slog.Logger
}

// Tail reads a topic's new records without a group: every process sees every
// record that is produced after it started. For news, never for work.
type Tail struct {
	cfg   TailConfig
	cl    *kgo.Client // set by Start
	group lifecycle.Group
}

// NewTail returns a tail that has not started.
func NewTail(cfg TailConfig) *Tail {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Tail{cfg: cfg}
}

// Start finds the end of the topic and begins there: every record that is produced
// after it returns is seen. The topic must exist; partitions that it gets later are not read.
func (t *Tail) Start(ctx context.Context) error {
	cl, err := t.cfg.Broker.client(
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), // what is gone before it is read is no news any more
	)
	if err != nil {
		return fmt.Errorf("start tail of %s: %w", t.cfg.Topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	ends, err := endOffsets(ctx, kadm.NewClient(cl), t.cfg.Broker.Topic(t.cfg.Topic))
	if err != nil {
		cl.Close()
		return fmt.Errorf("start tail: %w", err)
	}
	// By offset, not "at the end": the client would look up where that is some time
	// after Start has returned, and leave out what came before.
	cl.AddConsumePartitions(ends.KOffsets())
	t.cl = cl
	t.group.Go(ctx, t.run)
	return nil
}

func (t *Tail) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := t.cl.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, partition int32, err error) {
			if ctx.Err() == nil {
				t.cfg.Log.Warn("fetch failed; it is tried again", "topic", t.cfg.Topic, "partition", partition, "error", err)
			}
		})
		if records := fetches.Records(); len(records) > 0 {
			t.cfg.Handle(records)
		}
	}
}

// Stop ends the tail.
func (t *Tail) Stop(ctx context.Context) error {
	if t.cl == nil {
		return nil
	}
	err := t.group.Stop(ctx)
	t.cl.Close()
	return err
}
