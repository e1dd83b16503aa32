package bench

import (
	"errors"
	"fmt"

	"onsale"
	"onsale/bench/page"
	"onsale/bench/timeline"
	"onsale/internal/contest"
)

// Report is the outcome of a scenario. Its JSON form is the same for every scenario and
// stays stable: others read it.
type Report struct {
	Scenario string             `json:"scenario"`
	Params   map[string]any     `json:"params"`
	Machine  Machine            `json:"machine"`
	Figures  map[string]Figure  `json:"figures"`
	Ratios   map[string]float64 `json:"ratios"`
	Audit    Verdict            `json:"audit"`
	OK       bool               `json:"ok"`             // promises were put to the test, and none was broken
	Void     string             `json:"void,omitempty"` // why nothing was put to the test; "" if it was

	// Limit says what kept the figures from being better, as far as a profile of this machine shows it; "" if
	// none was made.
	Limit string `json:"limit,omitempty"`
	// Aims are bounds that figures or ratios were hoped to keep. One that is missed is no broken promise.
	Aims []Aim `json:"aims,omitempty"`
	// Samples are what each round found, by the figure or ratio that is their median: what tells a
	// difference from noise. None for what was measured once.
	Samples map[string][]float64 `json:"samples,omitempty"`
	// Timelines are how it went, moment by moment: of a rush, or of some runs with faults.
	Timelines []*timeline.Timeline `json:"timelines,omitempty"`

	// Summary, if there is one, is for the person who looks on, in place of all figures. It
	// isn't in the JSON.
	Summary string `json:"-"`

	// Notes are for the person who looks on: the first errors, spelled out, or what is to be
	// thought of the figures. They aren't in the JSON.
	Notes []string `json:"-"`
}

// NewReport returns the report of a scenario on this machine, with nothing found yet.
func NewReport(scenario string, params map[string]any) *Report {
	return &Report{Scenario: scenario, Params: params, Machine: thisMachine(), Figures: map[string]Figure{}, Ratios: map[string]float64{},
		Audit: Verdict{Violations: []onsale.Violation{}}}
}

// Figure is a measured number and its unit.
type Figure struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // "ms", "1/s", "bytes", or what is counted
}

// Verdict is what the audit of a run found.
type Verdict struct {
	Oversold      int64              `json:"oversold"`       // admissions
	LostOrders    int64              `json:"lost_orders"`    // orders answered 202 that came to no end
	DoubleCharges int64              `json:"double_charges"` // captured payments
	Violations    []onsale.Violation `json:"violations"`     // never null
	Unchecked     []onsale.Unchecked `json:"unchecked,omitempty"`
}

// ErrVoid says that a run proves nothing: no promise was broken, because none was asked for.
var ErrVoid = errors.New("the run proves nothing")

// Err is nil if all is well, an *onsale.AuditError that lists the promises that were
// broken, or ErrVoid with the reason.
func (r *Report) Err() error {
	audit := onsale.AuditReport{Violations: r.Audit.Violations}
	if err := audit.Err(); err != nil {
		return err
	}
	if r.Audit.Oversold > 0 || r.Audit.LostOrders > 0 || r.Audit.DoubleCharges > 0 {
		return &onsale.AuditError{Text: fmt.Sprintf("oversold %d, lost orders %d, double charges %d",
			r.Audit.Oversold, r.Audit.LostOrders, r.Audit.DoubleCharges)}
	}
	if r.Void != "" {
		return fmt.Errorf("%w: %s", ErrVoid, r.Void)
	}
	return nil
}

// Kept is what may be said of a report without an error, and what it can't be said of, a line each: see page.Kept.
func (r *Report) Kept() (verdict string, unchecked []string) {
	return page.Kept(r.Audit.Unchecked, func(name string) float64 { return r.Figures[name].Value })
}

// Aim is a bound that a figure or a ratio was hoped to keep.
type Aim struct {
	Name  string  `json:"name"`  // of the figure, else of the ratio
	Most  float64 `json:"most"`  // in its unit
	Value float64 `json:"value"` // what it was
	Met   bool    `json:"met"`
}

// AimFor holds a figure, or else a ratio, to a bound. One that the report doesn't have is not met.
func (r *Report) AimFor(name string, most float64) {
	figure, ok := r.Figures[name]
	value := figure.Value
	if !ok {
		value, ok = r.Ratios[name]
	}
	r.Aims = append(r.Aims, Aim{Name: name, Most: most, Value: value, Met: ok && value <= most})
}

// Sample keeps what each round of a contest found of a figure.
func (r *Report) Sample(name string, rounds []float64) {
	if len(rounds) == 0 {
		return
	}
	if r.Samples == nil {
		r.Samples = map[string][]float64{}
	}
	r.Samples[name] = rounds
}

// Contest makes a figure of each contestant's median, with a sample for each round.
func (r *Report) Contest(f contest.Figures, unit string) {
	for name, rounds := range f {
		r.Figures[name] = Figure{Value: f.Median(name), Unit: unit}
		r.Sample(name, rounds)
	}
}

// Versus makes a ratio of one contestant's figures over another's, round by round.
func (r *Report) Versus(ratio string, f contest.Figures, name, over string) {
	r.Ratios[ratio] = f.Ratio(name, over)
	r.Sample(ratio, f.Ratios(name, over))
}
