package page

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"onsale/bench/timeline"
)

// view is a report as the page shows it.
type view struct {
	*Report
	ID      string // of its section
	Label   string // on its tab
	Verdict string
	Mood    string // "good", "bad" or "void": what colour the verdict has
	Zeros   []zero
	Params  []pair
	Missed  string // how many aims were missed; "" if none
	Goals   []goal // the aims

	Unchecked []string // promises, a line each

	Rounds    []row     // figures and ratios that have samples
	Latencies []latency // figures of one thing's percentiles, a row each
	Rows      []row     // all other figures, then ratios
}

// goal is an aim, with its unit.
type goal struct {
	Name, Value, Most string
	Met               bool
}

// latency is how long one thing took: its count, p50, p95, p99 and max.
type latency struct {
	Name  string
	Cells []string
}

// zero is something that must not happen, and how often it did.
type zero struct {
	Name  string
	Count int64
}

type pair struct{ Name, Text string }

// row is a figure, or a ratio, whose unit is "".
type row struct {
	Name    string
	Value   float64
	Unit    string
	Samples []float64
}

// mostParam is how much of a parameter's text is shown.
const mostParam = 120

func newView(i int, r *Report) view {
	v := view{Report: r, ID: "report-" + strconv.Itoa(i+1), Label: r.Scenario}
	for _, name := range []string{"storm", "profile"} { // what tells two rushes apart
		if text, ok := r.Params[name].(string); ok && len(text) < 20 {
			v.Label += " · " + text
			break
		}
	}
	kept, unchecked := Kept(r.Audit.Unchecked, func(name string) float64 { return r.Figures[name].Value })
	v.Unchecked = unchecked
	switch {
	case len(r.Audit.Violations) > 0 || r.Audit.Oversold > 0 || r.Audit.LostOrders > 0 || r.Audit.DoubleCharges > 0:
		v.Mood, v.Verdict = "bad", fmt.Sprintf("Promises were broken: %d", len(r.Audit.Violations))
	case r.Void != "":
		v.Mood, v.Verdict = "void", "Void: "+r.Void
	case r.OK:
		v.Mood, v.Verdict = "good", sentence(kept)
	default:
		v.Mood, v.Verdict = "bad", "Not everything was well"
	}
	v.Zeros = []zero{{"oversold", r.Audit.Oversold}, {"lost orders", r.Audit.LostOrders}, {"double charges", r.Audit.DoubleCharges},
		{"broken promises", int64(len(r.Audit.Violations))}}
	for _, name := range []string{"undersold", "unanswered", "unsettled"} { // what must be none, too, where it is counted
		if figure, ok := r.Figures[name]; ok {
			v.Zeros = append(v.Zeros, zero{name, int64(figure.Value)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		v.Params = append(v.Params, pair{name, param(r.Params[name])})
	}
	v.addGoals()
	v.addFigures()
	return v
}

func (v *view) addGoals() {
	missed := 0
	for _, a := range v.Aims {
		unit := v.Figures[a.Name].Unit
		v.Goals = append(v.Goals, goal{a.Name, value(a.Value, unit), value(a.Most, unit), a.Met})
		if !a.Met {
			missed++
		}
	}
	if missed > 0 {
		v.Missed = fmt.Sprintf("%d of %d aims missed", missed, len(v.Aims))
	}
}

// addFigures parts figures and ratios by how they are shown.
func (v *view) addFigures() {
	add := func(r row) {
		if len(r.Samples) > 1 {
			v.Rounds = append(v.Rounds, r)
		} else {
			v.Rows = append(v.Rows, r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Figures)) {
		thing, part := name, ""
		if i := strings.LastIndexByte(name, '_'); i > 0 {
			thing, part = name[:i], name[i+1:]
		}
		_, isLatency := v.Figures[thing+"_max"]
		if at := slices.Index(percentiles, part); !isLatency || at < 0 || len(v.Samples[name]) > 1 {
			add(row{name, v.Figures[name].Value, v.Figures[name].Unit, v.Samples[name]})
			continue
		}
		if n := len(v.Latencies); n == 0 || v.Latencies[n-1].Name != thing {
			l := latency{Name: thing}
			for _, p := range percentiles {
				cell := "–"
				if figure, ok := v.Figures[thing+"_"+p]; ok {
					cell = strings.TrimSuffix(value(figure.Value, figure.Unit), " samples")
				}
				l.Cells = append(l.Cells, cell)
			}
			v.Latencies = append(v.Latencies, l)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Ratios)) {
		samples := v.Samples[name]
		if _, figure := v.Figures[name]; figure {
			samples = nil // they are the figure's
		}
		add(row{name, v.Ratios[name], "", samples})
	}
}

// percentiles are the ends of the names of a latency's figures.
var percentiles = []string{"count", "p50", "p95", "p99", "max"}

// param is a parameter as a text, cut if it is long, as a list of runs is.
func param(v any) string {
	text, ok := v.(string)
	if !ok {
		if list, many := v.([]any); many {
			return fmt.Sprintf("%d of them", len(list))
		}
		body, err := json.Marshal(v)
		if err != nil {
			return "?" // what was read from JSON can be written
		}
		text = string(body)
	}
	if runes := []rune(text); len(runes) > mostParam {
		text = string(runes[:mostParam]) + "…"
	}
	return text
}

// faults are what went wrong on purpose in a timeline, in order.
func faults(line *timeline.Timeline) []timeline.At {
	return slices.DeleteFunc(slices.Clone(line.Marks), func(m timeline.At) bool { return m.Kind != "fault" })
}

func title(views []view) string {
	labels := make([]string, len(views))
	for i, v := range views {
		labels[i] = v.Label
	}
	return "Onsale bench: " + strings.Join(labels, ", ")
}

// number is a number in groups of three digits, with four that count.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case v == math.Trunc(v) && abs < 1e15, abs >= 1000:
		digits := strconv.FormatFloat(math.Abs(math.Round(v)), 'f', 0, 64)
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "\u202f" + digits[i:] // a narrow space that doesn't break
		}
		if v < 0 {
			return "−" + digits
		}
		return digits
	default:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
}

// value is a figure as people read it: bytes as megabytes.
func value(v float64, unit string) string {
	if unit == "bytes" && v >= 1<<20 {
		return memory(int64(v))
	}
	return strings.TrimSpace(number(v) + " " + unit)
}

// memory is bytes as people read them.
func memory(bytes int64) string {
	if bytes >= 1<<30 {
		return strconv.FormatFloat(float64(bytes)/(1<<30), 'f', 1, 64) + " GB"
	}
	return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MB"
}

// sentence begins a text as a sentence begins.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
