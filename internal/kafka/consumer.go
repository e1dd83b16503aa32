package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale/internal/crashpoint"
	"onsale/internal/lifecycle"
)

const (
	// DefaultMaxBatch is how many records a consumer handles at once.
	DefaultMaxBatch = 1000
	// handleGrace is how much longer a batch under way may take when the consumer
	// is asked to stop, so that its work ends durable and committed.
	handleGrace = 5 * time.Second
	// leaveTime is how long leaving the group may take. Who is not heard to leave is taken for
	// dead by the others after sessionTime.
	leaveTime = 2 * time.Second
	// batchEvery is how often a batch is begun at the most, unless the last was half of the most that it may be. A batch costs Kafka
	// and Postgres what thirty of its records do, and those of a rush would come a few at a time; one that
	// comes alone doesn't wait.
	batchEvery = 50 * time.Millisecond
	// sessionTime is after how long a killed member's partitions are taken over.
	sessionTime = 10 * time.Second
)

// batchBackoff is the wait before a batch is handled, or committed, again.
var batchBackoff = lifecycle.Backoff{First: 50 * time.Millisecond, Last: 5 * time.Second}

// ConsumerConfig says what a consumer reads and what it does with it.
type ConsumerConfig struct {
	Broker   Broker
	Group    string
	Topic    string // one of the root package's topics
	MaxBatch int    // records a batch; default DefaultMaxBatch

	// Handle must have made the batch's work durable when it returns nil: its
	// offsets are committed after it. Any error is transient: the same batch is
	// handled again after a backoff. A record that can never be handled is Handle's
	// own to dead-letter. When the consumer stops, ctx ends a grace later.
	Handle func(ctx context.Context, batch []Record) error
	// Room, if it is set, is asked before each batch: it waits until one may come, and
	// returns how many records it may have, of most. Meanwhile records wait in Kafka,
	// and the partitions can be given to others. What it returns when ctx has ended is
	// not used.
	Room func(ctx context.Context, most int) int
	// Lost puts it on record for good that records were deleted before the group read
	// them, as Producer.BuryLoss does; see loss.go. After an error it is called again.
	// Default: they are only counted and logged.
	Lost    func(ctx context.Context, l Loss) error
	Metrics *metrics.Set // default: one that nobody reads
	Log     *slog.Logger
}

// Consumer handles a topic's records batch by batch, in order within a partition,
// each at least once. Offsets are never committed before the work is done, and no
// batch is begun before the last one's are; a rebalance waits for the batch under way.
type Consumer struct {
	cfg    ConsumerConfig
	cl     *kgo.Client        // set by Start
	hangUp context.CancelFunc // set by Start: ends the client's questions
	group  lifecycle.Group
	losses losses // the goroutine's
}

// NewConsumer returns a consumer that has not started.
func NewConsumer(cfg ConsumerConfig) *Consumer {
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = DefaultMaxBatch
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.NewSet()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Log = cfg.Log.With("group", cfg.Group, "topic", cfg.Topic)
	return &Consumer{cfg: cfg, losses: newLosses(&cfg)}
}

// Start joins the group.
func (c *Consumer) Start(ctx context.Context) error {
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	cl, err := c.cfg.Broker.client(
		kgo.WithContext(life),
		kgo.ConsumerGroup(c.cfg.Broker.Prefix+c.cfg.Group),
		kgo.ConsumeTopics(c.cfg.Broker.Topic(c.cfg.Topic)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // a group without offsets has everything still to do
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.SessionTimeout(sessionTime),
	)
	if err != nil {
		hangUp()
		return fmt.Errorf("start consumer %s: %w", c.cfg.Group, err)
	}
	c.cl, c.hangUp = cl, hangUp
	c.group.Go(ctx, c.run)
	return nil
}

// Stop lets the batch under way end, leaves the group and returns. If Kafka doesn't answer
// that takes handleGrace and leaveTime at the most.
func (c *Consumer) Stop(ctx context.Context) error {
	if c.cl == nil {
		return nil
	}
	// The client waits for Kafka's answers for as long as it has a context.
	bound := time.AfterFunc(handleGrace+leaveTime, c.hangUp)
	defer bound.Stop()
	err := c.group.Stop(ctx)
	bound.Reset(leaveTime)
	c.cl.CloseAllowingRebalance()
	c.hangUp()
	return err
}

func (c *Consumer) run(ctx context.Context) {
	work, cancel := withGrace(ctx, handleGrace)
	defer cancel()
	for {
		fetches := c.poll(ctx)
		if fetches.IsClientClosed() || (ctx.Err() != nil && fetches.Empty()) {
			return
		}
		fetches.EachError(func(_ string, partition int32, err error) {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				c.cfg.Log.Warn("fetch failed; it is tried again", "partition", partition, "error", err)
			}
		})
		began, batch := time.Now(), fetches.Records()
		if !c.handle(ctx, work, batch) {
			return
		}
		c.cl.AllowRebalance()
		if len(batch) > 0 && len(batch) < c.cfg.MaxBatch/2 && !lifecycle.Pause(ctx, batchEvery-time.Since(began)) {
			return
		}
	}
}

// poll returns a batch, or nothing if there is none in time to look for losses again.
func (c *Consumer) poll(ctx context.Context) kgo.Fetches {
	room := c.room(ctx)
	ctx, cancel := context.WithTimeout(ctx, c.losses.every)
	defer cancel()
	return c.cl.PollRecords(ctx, room)
}

// room waits until a batch may come. It returns at least 1: of 0 the client would
// make "as many as there are".
func (c *Consumer) room(ctx context.Context) int {
	if c.cfg.Room == nil {
		return c.cfg.MaxBatch
	}
	return min(max(1, c.cfg.Room(ctx, c.cfg.MaxBatch)), c.cfg.MaxBatch)
}

// handle handles a batch until it succeeds and commits it, after it has put on record what
// was lost before it. It returns false if the consumer stops first: the batch is then read
// again by whoever is next.
func (c *Consumer) handle(ctx, work context.Context, batch []Record) bool {
	for failures := 1; ; failures++ {
		err := c.losses.record(work, c.cl, batch)
		if len(batch) == 0 {
			if err != nil && ctx.Err() == nil {
				c.cfg.Log.Warn("what may have been lost can't be found out; it is tried again", "error", err)
			}
			return true
		}
		if err == nil {
			err = c.cfg.Handle(work, batch)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		wait := batchBackoff.Wait(failures)
		c.cfg.Log.Warn("batch failed; it is handled again", "records", len(batch), "backoff", wait, "error", err)
		if !lifecycle.Pause(ctx, wait) {
			return false
		}
	}
	crashpoint.Reach(crashpoint.BeforeOffsetCommit(c.cfg.Group))
	c.commit(work, batch)
	return true
}

// commit commits the batch's offsets, however often that must be tried: the client
// reads on from where it is, so what is not committed is not handled again either,
// and who waits for the topic to be drained would wait for ever. It gives up when
// work ends, or when the batch is not ours to commit any more: then it is read
// again by whoever has its partitions next.
func (c *Consumer) commit(work context.Context, batch []Record) {
	for failures := 1; ; failures++ {
		err := c.cl.CommitRecords(work, batch...)
		if err == nil {
			return
		}
		if work.Err() != nil || lostPlace(err) {
			c.cfg.Log.Warn("commit given up; the batch is handled again by who has its partitions next", "records", len(batch), "error", err)
			return
		}
		wait := batchBackoff.Wait(failures)
		c.cfg.Log.Warn("commit failed; it is tried again", "records", len(batch), "backoff", wait, "error", err)
		lifecycle.Pause(work, wait) // cut short, the next attempt fails with work's end
	}
}

// lostPlace reports whether a commit was refused since the member's partitions are
// no longer its own, or no longer the topic's that they were read from.
func lostPlace(err error) bool {
	for _, lost := range []error{
		kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID,
		kerr.FencedMemberEpoch, kerr.StaleMemberEpoch, kerr.UnknownTopicID,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// withGrace returns a context that ends the given time after ctx does.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}
