package kafka

// Dead letters as they are read again: by a person, who may have them replayed, and by
// the audit. A replay leaves a mark behind the letter, in the same topic, which is
// never cleaned: so nobody replays a letter twice without meaning to.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
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

// Letter is a dead letter.
type Letter struct {
	Record   Record    // in the dead-letter topic
	Topic    string    // whose stage gave it up, one of the root package's
	Stage    string    // that stage
	Reason   string    // why
	Origin   string    // where it was, as topic/partition@offset
	Died     time.Time // when it was given up
	Replayed time.Time // when it was replayed last; zero if it never was
}

// Letters returns the dead letters of one of the root package's topics, oldest
// first: those that are there now, not those that come while they are read.
func Letters(ctx context.Context, b Broker, topic string) ([]Letter, error) {
	records, err := readDead(ctx, b, topic)
	if err != nil {
		return nil, err
	}
	replayed := map[string]time.Time{}
	letters := make([]Letter, 0, len(records))
	for _, r := range records {
		reason, origin := Reason(r)
		if of := headerOf(r, headerReplayOf); of != "" && reason == "" {
			replayed[of] = r.Timestamp
			continue
		}
		l := Letter{Record: r, Topic: topic, Stage: headerOf(r, headerStage), Reason: reason, Origin: origin, Died: r.Timestamp}
		if l.Stage == "" { // an older version's
			l.Stage = stageOf(topic)
		}
		if at, err := time.Parse(time.RFC3339Nano, headerOf(r, headerDied)); err == nil {
			l.Died = at
		}
		letters = append(letters, l)
	}
	for i := range letters {
		letters[i].Replayed = replayed[letters[i].place()]
	}
	return letters, nil
}

// DeadLetters returns the records of those dead letters of a topic that were not
// replayed. What was is its stage's again: it comes to its end, or dies anew.
func DeadLetters(ctx context.Context, b Broker, topic string) (records []Record, err error) {
	letters, err := Letters(ctx, b, topic)
	for _, l := range letters {
		if l.Replayed.IsZero() {
			records = append(records, l.Record)
		}
	}
	return records, err
}

// readDead reads a dead-letter topic as it is now, marks included.
func readDead(ctx context.Context, b Broker, topic string) ([]Record, error) {
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
	return headerOf(r, headerReason), headerOf(r, headerOrigin)
}

// headerOf is the last header of a name, as a record may have died before; "" if there is none.
func headerOf(r Record, name string) (value string) {
	for _, h := range r.Headers {
		if h.Key == name {
			value = string(h.Value)
		}
	}
	return value
}
