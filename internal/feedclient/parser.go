package feedclient

import (
	"sync"

	"onsale"
)

// parserMemory is how many frames a Parser remembers: at one delta a tick of
// 50 ms more than ten seconds, so clients may lag that far and still share.
const parserMemory = 256

// Parser parses each distinct frame once for all the clients of a process. It is
// safe for concurrent use; the zero value is ready.
type Parser struct {
	mu     sync.Mutex
	frames map[string]*Frame    // under mu, by the frame's bytes
	oldest [parserMemory]string // under mu: a ring of the keys of frames
	next   int                  // under mu: where in the ring the next key goes
}

// Parse is Parse, except that equal snapshots and deltas give the same Frame.
// Hellos and orders are one client's own, and aren't remembered.
func (p *Parser) Parse(data []byte) (*Frame, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.frames[string(data)]; ok {
		return f, nil
	}
	f, err := Parse(data)
	if err != nil || f.Type != onsale.FrameSnapshot && f.Type != onsale.FrameDelta {
		return f, err
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
