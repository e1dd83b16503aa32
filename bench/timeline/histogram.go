package timeline

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"
)

// Histogram counts durations in buckets that are never wider than a 64th of what is in
// them, as an HDR histogram has them (Gil Tene), but keeps only those that are not empty:
// there is one for each quarter of a second. Adding is exact: the sum of two is what one
// would be that had seen both. The zero value is empty. Not for concurrent use.
type Histogram struct {
	buckets map[uint16]uint64 // by index
}

const (
	// subBits is how many bits of a value its bucket keeps, besides the first.
	subBits = 6
	// longest is what a longer duration counts as, in microseconds: over an hour.
	longest = 1<<32 - 1
)

// Record counts a duration so many times. What is below a microsecond counts as none.
func (h *Histogram) Record(d time.Duration, times uint64) {
	if times == 0 {
		return
	}
	if h.buckets == nil {
		h.buckets = map[uint16]uint64{}
	}
	h.buckets[bucket(uint64(min(max(d.Microseconds(), 0), longest)))] += times
}

// bucket is the index of a value: itself as long as that is exact, then 64 for each
// power of two.
func bucket(us uint64) uint16 {
	shift := max(0, bits.Len64(us)-subBits-1)
	return uint16(shift<<subBits) + uint16(us>>shift)
}

// top is the greatest value of a bucket.
func top(index uint16) uint64 {
	shift := max(0, int(index>>subBits)-1)
	within := uint64(index) - uint64(shift<<subBits)
	return (within+1)<<shift - 1
}

// Add adds another histogram to this one.
func (h *Histogram) Add(other *Histogram) {
	if h.buckets == nil {
		h.buckets = map[uint16]uint64{}
	}
	for index, n := range other.buckets {
		h.buckets[index] += n
	}
}

// Count is how many durations were recorded.
func (h *Histogram) Count() (sum uint64) {
	for _, n := range h.buckets {
		sum += n
	}
	return sum
}

// Percentiles are the durations that so many in a hundred don't exceed, to the top of
// their bucket; percents must rise. All are 0 if nothing was recorded.
func (h *Histogram) Percentiles(percents ...float64) []time.Duration {
	found := make([]time.Duration, 0, len(percents))
	total, sum := float64(h.Count()), uint64(0)
	for _, index := range slices.Sorted(maps.Keys(h.buckets)) {
		sum += h.buckets[index]
		for len(found) < len(percents) && float64(sum) >= percents[len(found)]/100*total {
			found = append(found, time.Duration(top(index))*time.Microsecond)
		}
	}
	return append(found, make([]time.Duration, len(percents)-len(found))...)
}

// histogramJSON is a histogram on its way: its buckets' indices, rising, and what is in each.
type histogramJSON struct {
	Index []uint16 `json:"i"`
	Count []uint64 `json:"n"`
}

// MarshalJSON implements json.Marshaler.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	form := histogramJSON{Index: slices.SortedFunc(maps.Keys(h.buckets), cmp.Compare[uint16])}
	for _, index := range form.Index {
		form.Count = append(form.Count, h.buckets[index])
	}
	return json.Marshal(form)
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Histogram) UnmarshalJSON(body []byte) error {
	var form histogramJSON
	if err := json.Unmarshal(body, &form); err != nil {
		return fmt.Errorf("reading a histogram: %w", err)
	}
	if len(form.Index) != len(form.Count) {
		return errors.New("reading a histogram: as many counts as buckets are needed")
	}
	h.buckets = make(map[uint16]uint64, len(form.Index))
	for i, index := range form.Index {
		h.buckets[index] += form.Count[i]
	}
	return nil
}
