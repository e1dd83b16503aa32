package kafka

// A dead letter is a record that its stage could not process, put aside so that it
// can't hold up those behind it. Nothing takes it any further by itself: it is for
// a person to look at, and for the audit to count.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
)

// The headers that a dead letter has besides its record's own.
const (
	headerReason = "onsale-reason"
	headerOrigin = "onsale-origin" // topic/partition@offset
)

const (
	// maxDeadLetters is how many dead letters are read at once. Who has more has
	// another problem than reading them.
	maxDeadLetters = 100_000
	// deadLettersTimeout bounds how long reading them may take.
	deadLettersTimeout = 60 * time.Second
)

// ErrTooManyDeadLetters says that there are more dead letters than are read at once.
var ErrTooManyDeadLetters = errors.New("too many dead letters to read: mend what causes them, then replay or delete them")

func (b Broker) deadLetters(topic string) string { return b.Topic(topic) + onsale.DeadLetterSuffix }

// DeadLetter copies a record that can never be processed to its topic's
// dead-letter topic, with the reason and its origin in headers. It returns nil
// when the copy is acknowledged: only then may the offset be committed.
func (p *Producer) DeadLetter(ctx context.Context, r Record, reason error) error {
	origin := fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
	copied := &kgo.Record{
		Topic: r.Topic + onsale.DeadLetterSuffix, Key: r.Key, Value: r.Value,
		Headers: append(append([]kgo.RecordHeader(nil), r.Headers...),
			kgo.RecordHeader{Key: headerReason, Value: []byte(reason.Error())},
			kgo.RecordHeader{Key: headerOrigin, Value: []byte(origin)},
		),
	}
	if err := p.send(ctx, []*kgo.Record{copied}); err != nil {
		return fmt.Errorf("dead letter of %s: %w", origin, err)
	}
	return nil
}

// DeadLetters returns the dead letters of one of the root package's topics, oldest
// first: those that are there now, not those that come while they are read.
func DeadLetters(ctx context.Context, b Broker, topic string) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, deadLettersTimeout)
	defer cancel()
	cl, err := b.client(kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	starts, err := startOffsets(ctx, admin, b.deadLetters(topic))
	if err != nil {
		return nil, err
	}
	ends, err := endOffsets(ctx, admin, b.deadLetters(topic))
	if err != nil {
		return nil, err
	}
	return readUpTo(ctx, cl, starts, ends)
}

// readUpTo reads a topic from its start offsets to its end offsets.
func readUpTo(ctx context.Context, cl *kgo.Client, starts, ends kadm.ListedOffsets) ([]Record, error) {
	unread := map[int32]int64{} // the end of each partition that has not been reached
	var left int64
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(end.Topic, end.Partition); ok && start.Offset < end.Offset {
			unread[end.Partition] = end.Offset
			left += end.Offset - start.Offset
		}
	})
	if left > maxDeadLetters {
		return nil, fmt.Errorf("%d: %w", left, ErrTooManyDeadLetters)
	}
	cl.AddConsumePartitions(starts.KOffsets())
	records := make([]Record, 0, left)
	for len(unread) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		fetches.EachRecord(func(r Record) {
			end, ok := unread[r.Partition]
			if ok && r.Offset < end {
				records = append(records, r)
			}
			if r.Offset >= end-1 {
				delete(unread, r.Partition)
			}
		})
	}
	return records, nil
}

// Reason returns why a record was dead-lettered, and where it was before; "" if it was not.
func Reason(r Record) (reason, origin string) {
	for _, h := range r.Headers { // the last of each: it may have died before
		switch h.Key {
		case headerReason:
			reason = string(h.Value)
		case headerOrigin:
			origin = string(h.Value)
		}
	}
	return reason, origin
}
