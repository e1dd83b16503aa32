package kafka

// A dead letter is a record that its stage could not process, put aside so that it
// can't hold up those behind it. Nothing takes it any further by itself: it is for
// a person to look at, and for the audit to count.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
)

// The headers that a dead letter has besides its record's own.
const (
	headerReason = "onsale-reason"
	headerOrigin = "onsale-origin"  // topic/partition@offset
	headerStage  = "onsale-stage"   // one of Stages
	headerDied   = "onsale-died-at" // RFC 3339
)

// Stage is what reads a topic, and so gives its records up.
type Stage struct{ Topic, Name string }

// Stages are those that an order passes, in its order.
var Stages = []Stage{
	{onsale.TopicPurchases, "claim"},
	{onsale.TopicCharges, "charge"},
	{onsale.TopicResults, "finalise"},
	{onsale.TopicOrders, "confirm"},
	{onsale.TopicLateNews, "confirm late"},
}

// stageOf is the stage of a topic, or the topic itself if no stage is known.
func stageOf(topic string) string {
	for _, s := range Stages {
		if s.Topic == topic {
			return s.Name
		}
	}
	return topic
}

func (b Broker) deadLetters(topic string) string { return b.Topic(topic) + onsale.DeadLetterSuffix }

// DeadLetter copies a record that can never be processed to its topic's
// dead-letter topic, with the reason, the stage, its origin and the time in headers.
// It returns nil when the copy is acknowledged: only then may the offset be committed.
func (p *Producer) DeadLetter(ctx context.Context, r Record, reason error) error {
	origin := fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
	copied := &kgo.Record{
		Topic: r.Topic + onsale.DeadLetterSuffix, Key: r.Key, Value: r.Value,
		Headers: append(append([]kgo.RecordHeader(nil), r.Headers...),
			kgo.RecordHeader{Key: headerReason, Value: []byte(reason.Error())},
			kgo.RecordHeader{Key: headerOrigin, Value: []byte(origin)},
			kgo.RecordHeader{Key: headerStage, Value: []byte(stageOf(strings.TrimPrefix(r.Topic, p.b.Prefix)))},
			kgo.RecordHeader{Key: headerDied, Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))},
		),
	}
	if err := p.send(ctx, []*kgo.Record{copied}); err != nil {
		return fmt.Errorf("dead letter of %s: %w", origin, err)
	}
	return nil
}
