package feedclient

import (
	"sync"

	"onsale"
)

// parserMemory is how many frames a Parser remembers: at one delta a tick of
// 50 ms more than ten seconds, so clients may lag that far and still share.
const parserMemory = 256

// Parser parses each distinct frame of one event once for all the clients of a process. It is
// safe for concurrent use; the zero value is ready.
type Parser struct {
	mu       sync.Mutex
	frames   map[string]*Frame    // under mu, by the frame's bytes
	oldest   [parserMemory]string // under mu: a ring of the keys of frames
	next     int                  // under mu: where in the ring the next key goes
	sections []string             // under mu: the event's, once there was a snapshot
}

// Parse is Parse, except that equal snapshots, deltas and sales give the same Frame.
// The others are one client's own, and aren't remembered.
func (p *Parser) Parse(data []byte) (*Frame, error) { return p.parse(data, false) }

// ParseBinary is ParseBinary in the same way. It knows the event's sections from the
// first snapshot that any client got.
func (p *Parser) ParseBinary(data []byte) (*Frame, error) { return p.parse(data, true) }

func (p *Parser) parse(data []byte, binary bool) (f *Frame, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.frames[string(data)]; ok {
		return f, nil
	}
	if binary {
		f, err = ParseBinary(data, p.sections)
	} else {
		f, err = Parse(data)
	}
	if err != nil || f.Snapshot == nil && f.Step() == nil {
		return f, err
	}
	if f.Snapshot != nil && p.sections == nil {
		p.sections = Sections(f.Snapshot)
	}
	if p.frames == nil {
		p.frames = make(map[string]*Frame, parserMemory)
	}
	key := string(data)
	delete(p.frames, p.oldest[p.next])
	p.frames[key] = f
	p.oldest[p.next] = key
	p.next = (p.next + 1) % parserMemory
	return f, nil
}

// Sections are the ids of a view's sections, in the event's order.
func Sections(view *onsale.FeedSnapshot) []string {
	ids := make([]string, 0, len(view.Sections))
	for _, s := range view.Sections {
		ids = append(ids, s.ID)
	}
	return ids
}
