package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync/atomic"

	"github.com/HdrHistogram/hdrhistogram-go"

	"onsale/bench/timeline"
)

// What the workers of a storm measure is joined exactly: counts are added, histograms are sent
// whole and merged. Nobody averages percentiles.

// account is what a worker has measured since its last one.
type account struct {
	Counts map[string]int64  `json:"counts,omitempty"` // by the field of measured; those that didn't change are left out
	Times  map[string][]byte `json:"times,omitempty"`  // histograms, encoded; the empty ones are left out
	Codes  map[string]int64  `json:"codes,omitempty"`  // requests by the code of their refusal
}

// teller makes the accounts of a measured. Not safe for concurrent use.
type teller struct {
	m     *measured
	told  map[string]int64
	codes map[string]int64 // that were told
}

func newTeller(m *measured) *teller { return &teller{m: m, told: map[string]int64{}} }

// next is what was measured since the call before. What it tells of a latency is taken out of it.
func (t *teller) next() (account, error) {
	now := account{Counts: map[string]int64{}, Times: map[string][]byte{}, Codes: map[string]int64{}}
	codes := t.m.codes.all()
	for code, n := range codes {
		if step := n - t.codes[code]; step != 0 {
			now.Codes[code] = step
		}
	}
	t.codes = codes
	err := t.m.each(func(name string, count *atomic.Int64) error {
		value := count.Load()
		if step := value - t.told[name]; step != 0 {
			now.Counts[name] = step
		}
		t.told[name] = value
		return nil
	}, func(name string, l *latency) error {
		if encoded := l.takeEncoded(); encoded != nil {
			now.Times[name] = encoded
		}
		return nil
	})
	return now, err
}

// add adds what another process has measured.
func (m *measured) add(other account) error {
	for code, n := range other.Codes {
		m.codes.add(code, n)
	}
	return m.each(func(name string, count *atomic.Int64) error {
		count.Add(other.Counts[name])
		return nil
	}, func(name string, l *latency) error {
		return l.addEncoded(other.Times[name])
	})
}

// each calls one of the two for every field, of which there are no other kinds: a field that is
// added to measured is joined without a word more.
func (m *measured) each(counted func(string, *atomic.Int64) error, timed func(string, *latency) error) error {
	fields := reflect.ValueOf(m).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		var err error
		// The fields are this package's own, which reflect shows to nobody by a shorter way.
		switch field := reflect.NewAt(fields.Field(i).Type(), fields.Field(i).Addr().UnsafePointer()).Interface().(type) {
		case *atomic.Int64:
			err = counted(name, field)
		case *latency:
			err = timed(name, field)
		case *codeCounts, **timeline.Recorder: // joined by themselves: see Codes, and recording.go
		default:
			err = fmt.Errorf("%T can't be joined", field)
		}
		if err != nil {
			return fmt.Errorf("joining what was measured, %s: %w", name, err)
		}
	}
	return nil
}

// takeEncoded encodes the histogram and empties it; nil if it was empty. Of what it has counted come two numbers each, both as uvarints: how
// many places nothing was counted in, and how much in the next. The library's own encoding is compressed, which takes a
// megabyte of memory each time.
func (l *latency) takeEncoded() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist == nil || l.hist.TotalCount() == 0 {
		return nil
	}
	var encoded []byte
	gap := uint64(0)
	for _, n := range l.hist.Export().Counts {
		if n == 0 {
			gap++
			continue
		}
		encoded = binary.AppendUvarint(binary.AppendUvarint(encoded, gap), uint64(n))
		gap = 0
	}
	l.hist.Reset()
	return encoded
}

var errNoHistogram = errors.New("is no histogram of latencies")

// addEncoded merges a histogram that takeEncoded has encoded; nothing is fine.
func (l *latency) addEncoded(encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	empty := hdrhistogram.New(shortestLatency, longestLatency, significantDigits).Export()
	for place := uint64(0); len(encoded) > 0; place++ {
		gap, used := binary.Uvarint(encoded)
		n, more := binary.Uvarint(encoded[max(used, 0):])
		if used <= 0 || more <= 0 || gap >= uint64(len(empty.Counts))-place || n > math.MaxInt64 {
			return errNoHistogram
		}
		place += gap
		empty.Counts[place] = int64(n)
		encoded = encoded[used+more:]
	}
	other := hdrhistogram.Import(empty)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist == nil {
		l.hist = hdrhistogram.New(shortestLatency, longestLatency, significantDigits)
	}
	if lost := l.hist.Merge(other); lost > 0 {
		return fmt.Errorf("%d values are out of range", lost)
	}
	return nil
}
