package kafka

// What a topic's retention deletes before its group has read it is lost, and nothing brings
// it back. The promise: it is never taken for handled, and nobody waits for it for ever.
//
// It counts as lag, and so who waits for the group to be drained waits, until the group's
// own consumer has found the gap and put it on record: a dead letter that says how much of
// what is gone, a counter for someone to be called by, a line in the log. Only then are the
// group's offsets committed past it, and who waited goes on. A crash before the commit puts it on
// record once more. A group that never committed anything in a partition is not known to
// have lost anything there.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lossEvery is how often a consumer compares what it has committed with where its topic
// begins; and at once if a batch doesn't begin where the last one ended.
const lossEvery = 10 * time.Second

// Loss is a run of records that were deleted before their group had read them.
type Loss struct {
	Group     string
	Topic     string // one of the root package's
	Partition int32
	From, To  int64 // offsets; To is the first that is still there
}

// Records is how many records are lost.
func (l Loss) Records() int64 { return l.To - l.From }

// losses finds and records what a consumer's group has lost. It is one goroutine's.
type losses struct {
	cfg    *ConsumerConfig
	topic  string        // in full
	every  time.Duration // lossEvery, except in tests
	looked time.Time
	lost   *metrics.Counter
}

func newLosses(cfg *ConsumerConfig) losses {
	return losses{cfg: cfg, topic: cfg.Broker.Topic(cfg.Topic), every: lossEvery, looked: time.Now(),
		lost: cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("onsale_records_lost_total{group=%q}", cfg.Group))}
}

// record puts what was lost before a batch on record, and commits past it.
func (l *losses) record(ctx context.Context, cl *kgo.Client, batch []Record) error {
	committed := cl.CommittedOffsets()[l.topic]
	if !skips(committed, batch) && time.Since(l.looked) < l.every {
		return nil
	}
	found, err := l.find(ctx, cl, committed)
	if err != nil {
		return err
	}
	for _, loss := range found {
		l.cfg.Log.Error("records were deleted before they were read: they are lost", "group", loss.Group, "topic", loss.Topic,
			"partition", loss.Partition, "from", loss.From, "to", loss.To, "records", loss.Records())
		if l.cfg.Lost != nil {
			if err := l.cfg.Lost(ctx, loss); err != nil {
				return fmt.Errorf("put it on record that %d records are lost: %w", loss.Records(), err)
			}
		}
		if err := l.pass(ctx, cl, loss); err != nil {
			return err
		}
		l.lost.AddInt64(loss.Records())
	}
	l.looked = time.Now()
	return nil
}

// skips reports whether a batch doesn't go on where the group was: records are gone, be it
// by retention or by compaction.
func skips(committed map[int32]kgo.EpochOffset, batch []Record) bool {
	seen := map[int32]bool{}
	for _, r := range batch {
		if seen[r.Partition] {
			continue
		}
		seen[r.Partition] = true
		if at := committed[r.Partition].Offset; at > 0 && r.Offset > at {
			return true
		}
	}
	return false
}

// find returns where the topic begins only after what the group has committed. Committed
// at 0 is what the client says of a partition in which nothing ever was.
func (l *losses) find(ctx context.Context, cl *kgo.Client, committed map[int32]kgo.EpochOffset) (found []Loss, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	starts, err := startOffsets(ctx, kadm.NewClient(cl), l.topic)
	if err != nil {
		return nil, err
	}
	for partition, at := range committed {
		if start, ok := starts.Lookup(l.topic, partition); ok && at.Offset > 0 && start.Offset > at.Offset {
			found = append(found, Loss{Group: l.cfg.Group, Topic: l.cfg.Topic, Partition: partition, From: at.Offset, To: start.Offset})
		}
	}
	return found, nil
}

// pass commits past a loss. That its partition has gone to another member is no error:
// that one finds the loss too.
func (l *losses) pass(ctx context.Context, cl *kgo.Client, loss Loss) (err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	past := map[string]map[int32]kgo.EpochOffset{l.topic: {loss.Partition: {Epoch: -1, Offset: loss.To}}}
	cl.CommitOffsetsSync(ctx, past, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, failed error) {
		err = failed
		if err != nil {
			return
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	})
	if err != nil && !lostPlace(err) {
		return fmt.Errorf("commit past what is lost: %w", err)
	}
	return nil
}

// headerLost is on a dead letter that is no record's, but tells of a loss: how many records.
const headerLost = "onsale-lost"

// BuryLoss writes a dead letter that tells of a loss. It returns nil when it is acknowledged.
func (p *Producer) BuryLoss(ctx context.Context, l Loss) error {
	reason := fmt.Errorf("%d records were deleted before %s had read them", l.Records(), l.Group)
	return p.DeadLetter(ctx, &kgo.Record{Topic: p.b.Topic(l.Topic), Partition: l.Partition, Offset: l.From,
		Headers: []kgo.RecordHeader{{Key: headerLost, Value: []byte(strconv.FormatInt(l.Records(), 10))}}}, reason)
}

// TellsOfLoss reports whether a dead letter is no record's, but tells that records of its
// topic, nobody knows whose, were lost.
func TellsOfLoss(r Record) bool { return headerOf(r, headerLost) != "" }
