package engine

import (
	"sync"

	"onsale"
	"onsale/holds"
)

const (
	// maxForms is how many bodies are remembered. When there are more all are forgotten, and
	// those that matter are soon back: a rush asks for few things, in few words.
	maxForms = 1024
	// maxFormBytes is the longest body that is remembered.
	maxFormBytes = 256
)

// forms remembers what the bodies of requests for holds ask for: reading and checking them, and
// writing their arguments, costs more than all else that a refusal takes. Safe for concurrent use.
type forms struct {
	mu sync.RWMutex
	of map[formKey]*holds.Form // under mu
}

type formKey struct {
	layout *onsale.Layout
	body   string
}

// find returns what a body asks of an event, nil if it isn't remembered.
func (f *forms) find(l *onsale.Layout, body []byte) *holds.Form {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.of[formKey{l, string(body)}]
}

// keep remembers it, unless it is unlikely to be asked again: seats are picked once.
func (f *forms) keep(l *onsale.Layout, body []byte, form *holds.Form) {
	if len(body) > maxFormBytes {
		return
	}
	for i := range form.Asks {
		if form.Asks[i].Offsets != nil {
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil || len(f.of) >= maxForms {
		f.of = map[formKey]*holds.Form{}
	}
	f.of[formKey{l, string(body)}] = form
}
