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

// codeCounts counts by code. The zero value has counted nothing.
type codeCounts struct {
	mu     sync.Mutex
	counts map[string]int64 // under mu
}

func (c *codeCounts) add(code string, times int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int64{}
	}
	if _, known := c.counts[code]; !known && len(c.counts) >= maxCodes {
		code = otherCode
	}
	c.counts[code] += times
}

// all is a copy of the counts.
func (c *codeCounts) all() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// noteAnswer counts what came of sending a request once: nil, a refusal, or no answer.
func (m *measured) noteAnswer(err error) {
	var refusal *onsale.Error
	switch {
	case err == nil:
		return
	case !errors.As(err, &refusal):
		m.errors.Add(1)
		m.codes.add(noAnswer, 1)
		return
	case refusal.Code == onsale.CodeInternal:
		m.errors.Add(1)
	case isBusy(refusal):
		m.busy.Add(1)
	}
	m.codes.add(string(refusal.Code), 1)
}
