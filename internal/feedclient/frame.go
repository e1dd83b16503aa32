// Package feedclient is the reference client of an event's feed: it says in code
// what a client that follows the rules of onsale.v1 does with each frame. The
// bench folds every simulated browser with it, and the feed's own tests hold the
// server to it.
//
// It is made for very many clients in one process. A frame is parsed once,
// whoever receives it (Parser), and what a delta makes of a snapshot is computed
// once, whoever folds it (Frame.apply): clients that are in step share one
// immutable view, so each costs a few words of memory and next to no time.
package feedclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"onsale"
	"onsale/internal/feedbin"
)

// Frame is one parsed frame. Exactly the field that its Type names is set; none
// is, if the type is one that this client doesn't know, which is to be ignored.
// It is never changed once parsed, so any number of clients may share it.
type Frame struct {
	Type     string
	Hello    *onsale.FeedHello
	Snapshot *onsale.FeedSnapshot
	Delta    *onsale.FeedDelta
	Sale     *onsale.FeedSale
	Queue    *onsale.FeedQueue
	Hold     *onsale.FeedHold
	Order    *onsale.FeedOrder
	Bye      *onsale.FeedBye

	mu     sync.Mutex
	before *onsale.FeedSnapshot // under mu: the view that the delta was last applied to
	after  *onsale.FeedSnapshot // under mu: what came of it
}

// Parse reads a text frame. It doesn't keep data. An error means that the
// server broke the protocol.
func Parse(data []byte) (*Frame, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("parse a feed frame: %w", err)
	}
	f := &Frame{Type: head.Type}
	var err error
	switch head.Type {
	case onsale.FrameHello:
		f.Hello, err = decode[onsale.FeedHello](data)
	case onsale.FrameSnapshot:
		f.Snapshot, err = decode[onsale.FeedSnapshot](data)
	case onsale.FrameDelta:
		f.Delta, err = decode[onsale.FeedDelta](data)
	case onsale.FrameSale:
		f.Sale, err = decode[onsale.FeedSale](data)
	case onsale.FrameQueue:
		f.Queue, err = decode[onsale.FeedQueue](data)
	case onsale.FrameHold:
		f.Hold, err = decode[onsale.FeedHold](data)
	case onsale.FrameOrder:
		f.Order, err = decode[onsale.FeedOrder](data)
	case onsale.FrameBye:
		f.Bye, err = decode[onsale.FeedBye](data)
	case "":
		err = errors.New("it has no type")
	}
	if err != nil {
		return nil, fmt.Errorf("parse a feed frame %q: %w", head.Type, err)
	}
	return f, nil
}

// ParseBinary reads a binary frame of onsale.v1.bin. sections are the ids of the
// event's, in its order, which a delta needs. It doesn't keep data.
func ParseBinary(data []byte, sections []string) (*Frame, error) {
	message, err := feedbin.Decode(data, sections)
	if err != nil {
		return nil, err
	}
	switch m := message.(type) {
	case *onsale.FeedSnapshot:
		return &Frame{Type: m.Type, Snapshot: m}, nil
	case *onsale.FeedDelta:
		return &Frame{Type: m.Type, Delta: m}, nil
	case *onsale.FeedSale:
		return &Frame{Type: m.Type, Sale: m}, nil
	}
	return nil, fmt.Errorf("%T is no frame", message)
}

// Step is how a delta or a sale moves the stock; nil if the frame is neither.
func (f *Frame) Step() *onsale.FeedDelta {
	if s := f.Sale; s != nil {
		return &onsale.FeedDelta{Epoch: s.Epoch, From: s.From, Seq: s.Seq, At: s.At, Sale: s.Sale}
	}
	return f.Delta
}

func decode[T any](data []byte) (*T, error) {
	body := new(T)
	if err := json.Unmarshal(data, body); err != nil {
		return nil, err
	}
	return body, nil
}

// apply returns the view that the frame's step makes of view, which stands at
// the step's From. Views are immutable; clients with the same view get the same one back.
func (f *Frame) apply(view *onsale.FeedSnapshot) (*onsale.FeedSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == view {
		return f.after, nil
	}
	after, err := change(view, f.Step())
	if err != nil {
		return nil, err
	}
	f.before, f.after = view, after
	return after, nil
}

// change copies what the delta changes and shares the rest.
func change(view *onsale.FeedSnapshot, d *onsale.FeedDelta) (*onsale.FeedSnapshot, error) {
	next := *view
	next.Seq, next.At, next.Sale = d.Seq, d.At, d.Sale
	next.Sections = append([]onsale.FeedSection(nil), view.Sections...)
	known := 0
	for i := range next.Sections {
		section := &next.Sections[i]
		changes, ok := d.Sections[section.ID]
		if !ok {
			continue
		}
		known++
		section.Counts = changes.Counts
		if len(changes.Seats) == 0 {
			continue
		}
		seats := []byte(section.Seats)
		for _, run := range changes.Seats {
			if run.Offset < 0 || run.Offset > len(seats)-len(run.States) {
				return nil, fmt.Errorf("delta %d: %d seats from %d on of section %s, which has %d",
					d.Seq, len(run.States), run.Offset, section.ID, len(seats))
			}
			copy(seats[run.Offset:], run.States)
		}
		section.Seats = string(seats)
	}
	if known != len(d.Sections) {
		return nil, fmt.Errorf("delta %d: %d of its sections are not in the snapshot", d.Seq, len(d.Sections)-known)
	}
	return &next, nil
}
