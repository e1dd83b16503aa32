package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Group is a consumer group on one of the root package's topics.
type Group struct{ Group, Topic string }

// Meter reads how far groups have come, again and again over the same connections.
// Safe for concurrent use.
type Meter struct {
	b      Broker
	cl     *kgo.Client
	admin  *kadm.Client
	hangUp context.CancelFunc
}

// NewMeter returns a meter that reads until ctx ends or it is closed. It connects when it
// is first used.
func NewMeter(ctx context.Context, b Broker) (*Meter, error) {
	ctx, hangUp := context.WithCancel(ctx)
	cl, err := b.clientUntil(ctx)
	if err != nil {
		hangUp()
		return nil, err
	}
	return &Meter{b: b, cl: cl, admin: kadm.NewClient(cl), hangUp: hangUp}, nil
}

// Close closes the connections. A reading under way ends with an error.
func (m *Meter) Close() {
	m.hangUp()
	m.cl.Close()
}

// Progress is how far a group has come in its topic, by partition.
type Progress struct {
	Ends   map[int32]int64 // of the topic
	starts map[int32]int64 // of the topic: what was before is deleted
	at     map[int32]int64 // of the group; where the topic begins, if the group has committed nothing yet
}

// Lag is how many records the group has not committed, those that were deleted unread
// among them.
func (p Progress) Lag() (lag int64) {
	for partition, end := range p.Ends {
		lag += max(0, end-p.at[partition])
	}
	return lag
}

// Lost is how many records were deleted that the group has not committed, and has not put
// on record as lost either.
func (p Progress) Lost() (lost int64) {
	for partition, start := range p.starts {
		lost += max(0, start-p.at[partition])
	}
	return lost
}

// Passed reports whether the group has committed everything before the given ends.
func (p Progress) Passed(ends map[int32]int64) bool {
	for partition, end := range ends {
		if p.at[partition] < end {
			return false
		}
	}
	return true
}

// Read returns the groups' progress, in their order. The ends are read first: a group
// may since have come further than them.
func (m *Meter) Read(ctx context.Context, groups []Group) ([]Progress, error) {
	progress := make([]Progress, len(groups))
	for i, g := range groups {
		ends, err := endOffsets(ctx, m.admin, m.b.Topic(g.Topic))
		if err != nil {
			return nil, err
		}
		starts, err := startOffsets(ctx, m.admin, m.b.Topic(g.Topic))
		if err != nil {
			return nil, err
		}
		progress[i] = Progress{Ends: byPartition(ends), starts: byPartition(starts), at: byPartition(starts)}
	}
	for i, g := range groups {
		committed, err := committedOffsets(ctx, m.admin, m.b.Prefix+g.Group)
		if err != nil {
			return nil, fmt.Errorf("progress of %s: %w", g.Group, err)
		}
		for partition := range progress[i].at {
			if c, ok := committed.Lookup(m.b.Topic(g.Topic), partition); ok && c.At >= 0 {
				progress[i].at[partition] = c.At
			}
		}
	}
	return progress, nil
}

func byPartition(offsets kadm.ListedOffsets) map[int32]int64 {
	out := map[int32]int64{}
	offsets.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}
