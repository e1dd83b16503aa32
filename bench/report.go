package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"onsale"
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

// Write writes the report as indented JSON. It makes the folders that are missing, and
// replaces what is there at once: nobody ever reads half a report.
func (r *Report) Write(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the report: %w", err)
		}
	}()
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { // gone already if all went well
		if rmErr := os.Remove(draft.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	_, err = draft.Write(append(body, '\n'))
	if err = errors.Join(err, draft.Chmod(0o644), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}

// ReadReport reads a report that Write wrote.
func ReadReport(path string) (*Report, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the report: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("reading the report %s: %w", path, err)
	}
	return r, nil
}
