package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// headerReplayed is on a record that was replayed: which letter it was, as topic/partition@offset.
	headerReplayed = "onsale-replayed"
	// headerReplayOf is on the mark of a replay: the letter's partition@offset.
	headerReplayOf = "onsale-replay-of"

	// replayMost is how many letters are replayed at once.
	replayMost = 500
)

// place is where the letter is in its dead-letter topic.
func (l *Letter) place() string { return fmt.Sprintf("%d@%d", l.Record.Partition, l.Record.Offset) }

// Replay gives letters back to their stage: each is produced to the topic it came
// from, under its key, with a header that names the letter, and is then marked. It
// returns how many were replayed and marked. A crash, or an error, between the two
// leaves some that are replayed and not marked: every stage is idempotent, so nothing
// happens twice if they are replayed again. A letter that tells of a loss has nothing to give
// back: it is marked as seen.
func (p *Producer) Replay(ctx context.Context, letters []Letter) (replayed int, err error) {
	for chunk := range slices.Chunk(letters, replayMost) {
		var again, marks []*kgo.Record
		for i := range chunk {
			if !TellsOfLoss(chunk[i].Record) {
				again = append(again, chunk[i].revived(p.b))
			}
			marks = append(marks, chunk[i].mark())
		}
		if err := p.send(ctx, again); err != nil {
			return replayed, fmt.Errorf("replay dead letters of %s: %w", chunk[0].Topic, err)
		}
		if err := p.send(ctx, marks); err != nil {
			return replayed, fmt.Errorf("mark replayed dead letters of %s: %w", chunk[0].Topic, err)
		}
		replayed += len(chunk)
	}
	return replayed, nil
}

// revived is the record as it was before it died, with what says that it did.
func (l *Letter) revived(b Broker) *kgo.Record {
	r := &kgo.Record{Topic: b.Topic(l.Topic), Key: l.Record.Key, Value: l.Record.Value}
	for _, h := range l.Record.Headers {
		if !slices.Contains([]string{headerReason, headerOrigin, headerStage, headerDied, headerReplayed}, h.Key) {
			r.Headers = append(r.Headers, h)
		}
	}
	letter := l.Record.Topic + "/" + l.place()
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerReplayed, Value: []byte(strings.TrimPrefix(letter, b.Prefix))})
	return r
}

func (l *Letter) mark() *kgo.Record {
	return &kgo.Record{Topic: l.Record.Topic, Key: l.Record.Key, Headers: []kgo.RecordHeader{{Key: headerReplayOf, Value: []byte(l.place())}}}
}
