package kafka

// Dead letters as they are read again: by a person, who may have them replayed, and by
// the audit. A replay leaves a mark behind the letter, in the same topic, which is
// never cleaned: so nobody replays a letter twice without meaning to.
//
// A cause that nobody mends may leave millions of them, and just then they must be readable.
// So they are read twice, one at a time: first for the marks, of which all that is kept is
// where and when, then for the letters. Both end where the topic ended at the beginning.

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// letterPatience is how long the next dead letters may take to come.
const letterPatience = 30 * time.Second

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

// Letters yields the dead letters of one of the root package's topics, oldest first within
// a partition: those that are there now, not those that come while they are read. An error
// is the last that it yields.
func Letters(ctx context.Context, b Broker, topic string) iter.Seq2[Letter, error] {
	return LettersAfter(ctx, b, topic, -1, 0)
}

// LettersAfter yields those that come after a place, partition by partition: after the last
// one of a page, the next page.
func LettersAfter(ctx context.Context, b Broker, topic string, partition int32, offset int64) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		from, to, err := deadSpan(ctx, b, topic)
		if err != nil {
			yield(Letter{}, err)
			return
		}
		replayed := map[string]time.Time{} // by the letter's place
		for r, err := range readSpan(ctx, b, b.deadLetters(topic), from, to) {
			if err != nil {
				yield(Letter{}, err)
				return
			}
			if of := markOf(r); of != "" {
				replayed[of] = r.Timestamp
			}
		}
		for p := range from {
			if p < partition {
				from[p] = to[p]
			} else if p == partition {
				from[p] = max(from[p], offset+1)
			}
		}
		for r, err := range readSpan(ctx, b, b.deadLetters(topic), from, to) {
			if err != nil {
				yield(Letter{}, err)
				return
			}
			if markOf(r) != "" {
				continue
			}
			l := letterOf(r, topic)
			l.Replayed = replayed[l.place()]
			if !yield(l, nil) {
				return
			}
		}
	}
}

// markOf is the place of the letter whose replay a record marks; "" if it is a letter.
func markOf(r Record) string {
	if headerOf(r, headerReason) != "" {
		return ""
	}
	return headerOf(r, headerReplayOf)
}

func letterOf(r Record, topic string) Letter {
	reason, origin := Reason(r)
	l := Letter{Record: r, Topic: topic, Stage: headerOf(r, headerStage), Reason: reason, Origin: origin, Died: r.Timestamp}
	if l.Stage == "" { // an older version's
		l.Stage = stageOf(topic)
	}
	if at, err := time.Parse(time.RFC3339Nano, headerOf(r, headerDied)); err == nil {
		l.Died = at
	}
	return l
}

// DeadLetters yields the records of those dead letters of a topic that were not
// replayed, as Letters does. What was is its stage's again: it comes to its end, or dies anew.
func DeadLetters(ctx context.Context, b Broker, topic string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for l, err := range Letters(ctx, b, topic) {
			if err == nil && !l.Replayed.IsZero() {
				continue
			}
			if !yield(l.Record, err) {
				return
			}
		}
	}
}

// deadSpan is from where to where a dead-letter topic has records now, by partition.
func deadSpan(ctx context.Context, b Broker, topic string) (from, to map[int32]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	cl, err := b.clientUntil(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	starts, err := startOffsets(ctx, admin, b.deadLetters(topic))
	if err != nil {
		return nil, nil, err
	}
	ends, err := endOffsets(ctx, admin, b.deadLetters(topic))
	if err != nil {
		return nil, nil, err
	}
	return byPartition(starts), byPartition(ends), nil
}

// readSpan yields the records of a dead-letter topic between two places, partition by partition.
func readSpan(ctx context.Context, b Broker, name string, from, to map[int32]int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, partition := range slices.Sorted(maps.Keys(to)) {
			for r, err := range readPartition(ctx, b, name, partition, from[partition], to[partition]) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

func readPartition(ctx context.Context, b Broker, name string, partition int32, from, to int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if from >= to {
			return
		}
		cl, err := b.clientUntil(ctx, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {partition: kgo.NewOffset().At(from)}}))
		if err != nil {
			yield(nil, err)
			return
		}
		defer cl.Close()
		for at := from; at < to; {
			records, err := nextLetters(ctx, cl)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range records {
				if r.Offset < to && !yield(r, nil) {
					return
				}
				at = r.Offset + 1
			}
		}
	}
}

func nextLetters(ctx context.Context, cl *kgo.Client) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, letterPatience)
	defer cancel()
	fetches := cl.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	return fetches.Records(), nil
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
