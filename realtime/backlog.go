package realtime

import "onsale"

const (
	// backlogFrames is how many deltas a client may miss and still get them one by
	// one, where nothing leads past them all.
	backlogFrames = 16
	// backlogPlaces is of how many deltas it is known where a client stands that misses them, so that one
	// delta leads it past all of them. After more it gets a snapshot.
	backlogPlaces = 256
)

// backlog is the newest deltas of an event, numbered from 1 on in the order they
// were published. A connection is a position in it: the number of the next frame
// that it is owed. A position before the backlog means a snapshot, so 0 always
// does. Immutable: each publish makes a new one, which all connections read
// without a lock.
type backlog struct {
	first  uint64 // the number of frames[0]
	frames []*message
	epoch  onsale.Epoch
	seqs   []uint64 // by number, up to the newest: the seq that the frame leads from
}

// end is the position of a client that is owed nothing.
func (b *backlog) end() uint64 { return b.first + uint64(len(b.frames)) }

// with returns the backlog after f was published, which leads on from a seq.
func (b *backlog) with(f *message, from uint64) *backlog {
	keep, seqs := b.frames, b.seqs
	if len(keep) == backlogFrames {
		keep = keep[1:]
	}
	if len(seqs) == backlogPlaces {
		seqs = seqs[1:]
	}
	frames := make([]*message, 0, len(keep)+1)
	frames = append(append(frames, keep...), f)
	// Nobody reads behind the length of a slice that was handed out, and one writer makes them all.
	return &backlog{first: b.end() + 1 - uint64(len(frames)), frames: frames, epoch: b.epoch, seqs: append(seqs, from)}
}

// restart returns an empty backlog of an epoch that begins after every position there is, so
// that everybody is owed a snapshot. b may be nil.
func (b *backlog) restart(epoch onsale.Epoch) *backlog {
	if b == nil {
		return &backlog{first: 1, epoch: epoch}
	}
	return &backlog{first: b.end() + 1, epoch: epoch}
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

// stands is where a client stands at the position, if it misses more than one frame and that is known.
func (b *backlog) stands(position uint64) (at place, several bool) {
	missed := b.end() - position
	if position >= b.end() || missed == 1 || missed > uint64(len(b.seqs)) {
		return place{}, false
	}
	return place{b.epoch, b.seqs[uint64(len(b.seqs))-missed]}, true
}
