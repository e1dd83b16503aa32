package bench

import (
	"errors"
	"maps"
	"sync"

	"onsale"
)

const (
	// noAnswer stands where a code would, of a request that got none.
	noAnswer = "no_answer"
	// maxCodes bounds what is told apart: the server says what the codes are.
	maxCodes = 48
	// otherCode is what all further codes are counted as.
	otherCode = "other"
)

// tally counts by code. The zero value has counted nothing.
type tally struct {
	mu     sync.Mutex
	counts map[string]int64 // under mu
}

func (t *tally) add(code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	if _, known := t.counts[code]; !known && len(t.counts) >= maxCodes {
		code = otherCode
	}
	t.counts[code]++
}

// all is a copy of the counts.
func (t *tally) all() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

// answered counts what came of sending a request once: nil, a refusal, or no answer.
func (m *measured) answered(err error) {
	var refusal *onsale.Error
	switch {
	case err == nil:
		return
	case !errors.As(err, &refusal):
		m.errors.Add(1)
		m.codes.add(noAnswer)
		return
	case refusal.Code == onsale.CodeInternal:
		m.errors.Add(1)
	case isBusy(refusal):
		m.busy.Add(1)
	}
	m.codes.add(string(refusal.Code))
}
