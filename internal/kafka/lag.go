package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"onsale/internal/lifecycle"
)

// drainPoll is how often Drained asks how far a group has come.
const drainPoll = 100 * time.Millisecond

// Lag is how many records of the topic the group has not committed yet: all of
// them, if there is no such group.
func Lag(ctx context.Context, b Broker, group, topic string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	m, err := NewMeter(ctx, b)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	progress, err := m.Read(ctx, []Group{{group, topic}})
	if err != nil {
		return 0, err
	}
	return progress[0].Lag(), nil
}

// Drained returns nil once the group has come past every record that was in the topic
// when it was called, however many come after. What was deleted before the group read it
// counts as not handled until the group's consumer has put it on record; see loss.go. It
// returns ctx's error if that ends first.
func Drained(ctx context.Context, b Broker, group, topic string) error {
	m, err := NewMeter(ctx, b)
	if err != nil {
		return err
	}
	defer m.Close()
	var ends map[int32]int64 // as they were at first
	var p Progress           // the last that is known
	for {
		progress, err := m.Read(ctx, []Group{{group, topic}})
		switch {
		case err != nil && (ends == nil || ctx.Err() == nil):
			return errors.Join(err, ctx.Err())
		case err == nil:
			p = progress[0]
			if ends == nil {
				ends = p.Ends
			}
			if p.Ends = ends; p.Passed(ends) {
				return nil
			}
		}
		if !lifecycle.Pause(ctx, drainPoll) {
			return fmt.Errorf("group %s still has %d records of %s to handle, %d of them deleted unread: %w", group, p.Lag(), topic, p.Lost(), ctx.Err())
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
		case !kerr.IsRetriable(err) || !lifecycle.Pause(ctx, drainPoll):
			return nil, fmt.Errorf("committed offsets of %s: %w", group, err)
		}
	}
}
