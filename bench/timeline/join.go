package timeline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// MaxRows is the most rows that a timeline has: a chart has no more pixels to show them.
const MaxRows = 600

// Timeline is what happened, in rows of the same length: a report keeps it, and a page
// draws it. Its JSON form is stable.
//
// A column's name says what it is: "arrivals.", "answers.", "orders.", "codes." and "frames."
// are counts of what happened in a row; "latency.WHAT.p50" to ".max" are milliseconds, of what
// ended in it; "stock." and "crowd." are how many there were at its end; "cpu." is percent of one
// core, "waiting." threads that waited for one, and "memory." bytes, by process.
type Timeline struct {
	Title   string            `json:"title,omitempty"` // which run it is, where a report has many
	From    float64           `json:"from"`            // seconds from the doors' opening to the first row's beginning
	Step    float64           `json:"step"`            // seconds a row
	Rows    int               `json:"rows"`
	Columns map[string]Column `json:"columns"` // each has Rows values
	Marks   []At              `json:"marks"`
	Cut     int64             `json:"cut,omitempty"` // what was not kept, because there was too much of it
}

// At is a Mark in seconds from the doors' opening.
type At struct {
	At    float64 `json:"at"`
	Until float64 `json:"until,omitempty"` // 0 of a moment
	Kind  string  `json:"kind"`
	Text  string  `json:"text"`
}

// Column is a value for each row; NaN where nothing is known, which is null in JSON.
type Column []float64

// percents are those of latencies; the last is the longest of all.
var percents = []float64{50, 95, 99, 100}

var percentNames = []string{"p50", "p95", "p99", "max"}

// steps are how many ticks a row may have.
var steps = []int64{1, 2, 4, 8, 20, 40, 80, 120}

// Join joins what several recorders have collected to what happened; doors is when time
// began to count, by the clock of all. Counts are added, and so are levels, each
// recorder's last one counting until its next. Shards that are nil are passed over. It
// returns nil if there is nothing in any.
func Join(doors time.Time, shards ...*Shard) *Timeline {
	shards = slices.DeleteFunc(slices.Clone(shards), func(s *Shard) bool { return s == nil })
	first, last := span(shards)
	if last < first {
		return nil
	}
	per := steps[len(steps)-1]
	for _, ticks := range steps {
		if (last-first)/ticks < MaxRows {
			per = ticks
			break
		}
	}
	rows := min(int((last-first)/per)+1, MaxRows)
	step := time.Duration(per) * Tick
	t := &Timeline{From: seconds(time.Unix(0, first*int64(Tick)).Sub(doors)), Step: step.Seconds(), Rows: rows,
		Columns: map[string]Column{}, Marks: []At{}}
	row := func(tick int64) int { return min(int((tick-first)/per), rows-1) }
	for _, s := range shards {
		t.Cut += s.Cut
		for name, ticks := range s.Counts {
			column := t.column(name, 0)
			for tick, n := range ticks {
				column[row(tick)] += float64(n)
			}
		}
		for _, m := range s.Marks {
			at := At{At: seconds(m.At.Sub(doors)), Kind: m.Kind, Text: m.Text}
			if !m.Until.IsZero() {
				at.Until = seconds(m.Until.Sub(doors))
			}
			t.Marks = append(t.Marks, at)
		}
	}
	t.addLevels(shards, row)
	t.addDurations(shards, row)
	slices.SortStableFunc(t.Marks, func(a, b At) int { return cmp.Compare(a.At, b.At) })
	return t
}

// column is the column of a name, made of the given value if there was none.
func (t *Timeline) column(name string, of float64) Column {
	if t.Columns[name] == nil {
		t.Columns[name] = slices.Repeat(Column{of}, t.Rows)
	}
	return t.Columns[name]
}

// addLevels adds the last level of each row. Where only one recorder knows of a level, it
// is left unknown between those that it told.
func (t *Timeline) addLevels(shards []*Shard, row func(int64) int) {
	tellers := map[string]int{}
	for _, s := range shards {
		for name := range s.Levels {
			tellers[name]++
		}
	}
	for _, s := range shards {
		for name, ticks := range s.Levels {
			own := slices.Repeat(Column{math.NaN()}, t.Rows)
			for _, tick := range slices.Sorted(maps.Keys(ticks)) {
				own[row(tick)] = ticks[tick]
			}
			sum := t.column(name, math.NaN())
			known := math.NaN()
			for i, level := range own {
				if !math.IsNaN(level) || tellers[name] == 1 {
					known = level
				}
				switch {
				case math.IsNaN(known):
				case math.IsNaN(sum[i]):
					sum[i] = round(known)
				default:
					sum[i] = round(sum[i] + known)
				}
			}
		}
	}
}

// addDurations adds the percentiles of what ended in each row.
func (t *Timeline) addDurations(shards []*Shard, row func(int64) int) {
	all := map[string][]Histogram{}
	for _, s := range shards {
		for name, ticks := range s.Durations {
			for tick, h := range ticks {
				if all[name] == nil {
					all[name] = make([]Histogram, t.Rows)
				}
				all[name][row(tick)].Add(h)
			}
		}
	}
	for name, rows := range all {
		for i := range rows {
			if rows[i].Count() == 0 {
				continue
			}
			for p, took := range rows[i].Percentiles(percents...) {
				t.column("latency."+name+"."+percentNames[p], math.NaN())[i] = round(float64(took) / float64(time.Millisecond))
			}
		}
	}
}

// span is the first and the last tick that anything was collected in; the last is before
// the first if nothing was.
func span(shards []*Shard) (first, last int64) {
	first, last = math.MaxInt64, math.MinInt64
	for _, s := range shards {
		for _, ticks := range s.Counts {
			first, last = widen(first, last, ticks)
		}
		for _, ticks := range s.Levels {
			first, last = widen(first, last, ticks)
		}
		for _, ticks := range s.Durations {
			first, last = widen(first, last, ticks)
		}
	}
	return first, last
}

func widen[V any](first, last int64, ticks map[int64]V) (int64, int64) {
	for tick := range ticks {
		first, last = min(first, tick), max(last, tick)
	}
	return first, last
}

func seconds(d time.Duration) float64 { return round(d.Seconds()) }

// round keeps three decimals.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// MarshalJSON implements json.Marshaler.
func (c Column) MarshalJSON() ([]byte, error) {
	body := append(make([]byte, 0, 8*len(c)), '[')
	for i, v := range c {
		if i > 0 {
			body = append(body, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			body = append(body, "null"...)
		} else {
			body = strconv.AppendFloat(body, v, 'f', -1, 64)
		}
	}
	return append(body, ']'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Column) UnmarshalJSON(body []byte) error {
	var values []*float64
	if err := json.Unmarshal(body, &values); err != nil {
		return fmt.Errorf("reading a column: %w", err)
	}
	*c = make(Column, len(values))
	for i, v := range values {
		(*c)[i] = math.NaN()
		if v != nil {
			(*c)[i] = *v
		}
	}
	return nil
}
