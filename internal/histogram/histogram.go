// Package histogram counts durations in the buckets that a stock Prometheus reads.
//
// VictoriaMetrics/metrics prints its own histograms with "vmrange" labels, which
// only VictoriaMetrics understands; these are printed with "le".
package histogram

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// bounds are the buckets' upper bounds in seconds: from what a call to Redis takes
// to what a settlement may take.
var bounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Histogram counts durations. Safe for concurrent use.
type Histogram struct {
	counts  []atomic.Uint64 // by bucket, the last is +Inf; not cumulative
	sumNano atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	h.counts[sort.SearchFloat64s(bounds, d.Seconds())].Add(1)
	h.sumNano.Add(int64(d))
}

// Since counts the time that has passed since start.
func (h *Histogram) Since(start time.Time) { h.Observe(time.Since(start)) }

// Family is the histograms of one name, told apart by the value of one label.
// Safe for concurrent use.
type Family struct {
	name, label string

	mu      sync.RWMutex
	members map[string]*Histogram // under mu, by the label's value
}

// NewFamily registers a family in the set. name ends in "_seconds". With label ""
// it has one member, With("").
func NewFamily(set *metrics.Set, name, label string) *Family {
	f := &Family{name: name, label: label, members: map[string]*Histogram{}}
	set.RegisterMetricsWriter(f.write)
	return f
}

// New registers a histogram without labels in the set.
func New(set *metrics.Set, name string) *Histogram { return NewFamily(set, name, "").With("") }

// With returns the member for a value of the family's label. Values must be few.
func (f *Family) With(value string) *Histogram {
	f.mu.RLock()
	h := f.members[value]
	f.mu.RUnlock()
	if h != nil {
		return h
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if h = f.members[value]; h == nil {
		h = &Histogram{counts: make([]atomic.Uint64, len(bounds)+1)}
		f.members[value] = h
	}
	return h
}

func (f *Family) write(w io.Writer) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	values := make([]string, 0, len(f.members))
	for v := range f.members {
		values = append(values, v)
	}
	sort.Strings(values)
	var b strings.Builder
	fmt.Fprintf(&b, "# TYPE %s histogram\n", f.name)
	for _, v := range values {
		f.writeMember(&b, v, f.members[v])
	}
	// The writer is the scrape's response: when it fails there is nobody to tell.
	_, _ = io.WriteString(w, b.String())
}

func (f *Family) writeMember(b *strings.Builder, value string, h *Histogram) {
	own, suffix := "", ""
	if f.label != "" {
		own = fmt.Sprintf("%s=%q,", f.label, value)
		suffix = "{" + strings.TrimSuffix(own, ",") + "}"
	}
	sum := uint64(0)
	for i := range h.counts {
		sum += h.counts[i].Load()
		le := "+Inf"
		if i < len(bounds) {
			le = fmt.Sprint(bounds[i])
		}
		fmt.Fprintf(b, "%s_bucket{%sle=%q} %d\n", f.name, own, le, sum)
	}
	fmt.Fprintf(b, "%s_sum%s %g\n", f.name, suffix, time.Duration(h.sumNano.Load()).Seconds())
	fmt.Fprintf(b, "%s_count%s %d\n", f.name, suffix, sum)
}
