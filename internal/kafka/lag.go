package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// drainPoll is how often Drained asks how far a group has come.
const drainPoll = 100 * time.Millisecond

// Lag is how many records of the topic the group has not committed yet: all of
// them, if there is no such group.
func Lag(ctx context.Context, b Broker, group, topic string) (int64, error) {
	m, err := NewMeter(b)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	progress, err := m.Read(ctx, []Group{{group, topic}})
	if err != nil {
		return 0, err
	}
	return progress[0].Lag(), nil
}

// Drained returns nil once the group has committed every record that was in the
// topic when it was called, however many come after. It returns ctx's error if
// that ends first.
func Drained(ctx context.Context, b Broker, group, topic string) error {
	cl, err := b.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	ends, err := endOffsets(ctx, admin, b.Topic(topic))
	if err != nil {
		return err
	}
	for {
		lag, err := behind(ctx, admin, b, group, topic, ends)
		if err != nil || lag == 0 {
			return err
		}
		if !pause(ctx, drainPoll) {
			return fmt.Errorf("group %s still has %d records of %s to handle: %w", group, lag, topic, ctx.Err())
		}
	}
}

func endOffsets(ctx context.Context, admin *kadm.Client, topic string) (kadm.ListedOffsets, error) {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end offsets of %s: %w", topic, err)
	}
	return ends, nil
}

func startOffsets(ctx context.Context, admin *kadm.Client, topic string) (kadm.ListedOffsets, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("start offsets of %s: %w", topic, err)
	}
	return starts, nil
}

// committedOffsets is what the group has committed. A cluster that has never had a
// group first makes a topic to keep its offsets in, and answers meanwhile that
// nobody is there to ask: it is asked again until ctx ends.
func committedOffsets(ctx context.Context, admin *kadm.Client, group string) (kadm.OffsetResponses, error) {
	for {
		committed, err := admin.FetchOffsets(ctx, group)
		if err == nil {
			err = committed.Error()
		}
		switch {
		case err == nil:
			return committed, nil
		case errors.Is(err, kerr.GroupIDNotFound): // so say some brokers of a group that never committed
			return nil, nil
		case !kerr.IsRetriable(err) || !pause(ctx, drainPoll):
			return nil, fmt.Errorf("committed offsets of %s: %w", group, err)
		}
	}
}

// behind is how many records before the given ends the group has not committed.
func behind(ctx context.Context, admin *kadm.Client, b Broker, group, topic string, ends kadm.ListedOffsets) (int64, error) {
	committed, err := committedOffsets(ctx, admin, b.Prefix+group)
	if err != nil {
		return 0, err
	}
	starts, err := startOffsets(ctx, admin, b.Topic(topic))
	if err != nil {
		return 0, err
	}
	var lag int64
	ends.Each(func(end kadm.ListedOffset) {
		from := int64(0)
		if start, ok := starts.Lookup(end.Topic, end.Partition); ok {
			from = start.Offset
		}
		if at, ok := committed.Lookup(end.Topic, end.Partition); ok && at.At > from {
			from = at.At
		}
		lag += max(0, end.Offset-from)
	})
	return lag, nil
}
