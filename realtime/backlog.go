package realtime

// backlogFrames is how many deltas a client may miss and still get them one by
// one. After more it gets a snapshot: the newest state, at a bounded cost.
const backlogFrames = 16

// backlog is the newest deltas of an event, numbered from 1 on in the order they
// were published. A connection is a position in it: the number of the next frame
// that it is owed. A position before the backlog means a snapshot, so 0 always
// does. Immutable: each publish makes a new one, which all connections read
// without a lock.
type backlog struct {
	first  uint64 // the number of frames[0]
	frames []*message
}

// end is the position of a client that is owed nothing.
func (b *backlog) end() uint64 { return b.first + uint64(len(b.frames)) }

// with returns the backlog after f was published.
func (b *backlog) with(f *message) *backlog {
	keep := b.frames
	if len(keep) == backlogFrames {
		keep = keep[1:]
	}
	frames := make([]*message, 0, len(keep)+1)
	frames = append(append(frames, keep...), f)
	return &backlog{first: b.end() + 1 - uint64(len(frames)), frames: frames}
}

// restart returns an empty backlog that begins after every position there is, so
// that everybody is owed a snapshot. b may be nil.
func (b *backlog) restart() *backlog {
	if b == nil {
		return &backlog{first: 1}
	}
	return &backlog{first: b.end() + 1}
}

// at returns the frame that a client at the position is owed; nil if it has them
// all. behind means that it is owed a snapshot instead.
func (b *backlog) at(position uint64) (f *message, behind bool) {
	switch {
	case position < b.first:
		return nil, true
	case position >= b.end():
		return nil, false
	}
	return b.frames[position-b.first], false
}
