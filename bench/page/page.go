// Package page makes one self-contained page of bench reports: it needs no network, and
// can be mailed, kept and printed. It reads their JSON, whose form is stable, so it shows
// stored reports as well as new ones.
//
// Texts and tables are made here (view.go, page.html), so that the page says everything
// without scripts; page.js draws the charts from the timelines, which lie in the page as JSON.
// What comes from reports is hostile, such as an event's name: html/template escapes it where
// it stands, and page.js sets texts only as texts.
package page

import (
	"bytes"
	_ "embed" // the page's parts
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"onsale"
	"onsale/bench/timeline"
)

var (
	//go:embed page.html
	markup string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
	//go:embed chart.js
	charts string
)

var layout = template.Must(template.New("page").Funcs(template.FuncMap{
	"memory": memory, "value": value, "faults": faults, "sentence": sentence,
}).Parse(markup))

// Report is what the page needs of a report's JSON.
type Report struct {
	Scenario string             `json:"scenario"`
	Params   map[string]any     `json:"params"`
	Machine  Machine            `json:"machine"`
	Figures  map[string]Figure  `json:"figures"`
	Ratios   map[string]float64 `json:"ratios"`
	Audit    struct {
		Oversold      int64              `json:"oversold"`
		LostOrders    int64              `json:"lost_orders"`
		DoubleCharges int64              `json:"double_charges"`
		Violations    []onsale.Violation `json:"violations"`
		Unchecked     []onsale.Unchecked `json:"unchecked"`
	} `json:"audit"`
	OK    bool   `json:"ok"`
	Void  string `json:"void"`
	Limit string `json:"limit"`
	Aims  []struct {
		Name  string  `json:"name"`
		Most  float64 `json:"most"`
		Value float64 `json:"value"`
		Met   bool    `json:"met"`
	} `json:"aims"`
	Samples   map[string][]float64 `json:"samples"`
	Timelines []*timeline.Timeline `json:"timelines"`
}

// Machine is what a report was measured on.
type Machine struct {
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	OS          string `json:"os"`
	Go          string `json:"go"`
}

// Figure is a measured number and its unit.
type Figure struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Write writes the page of a report, or of a list of them, given as JSON.
func Write(w io.Writer, reports []byte) error {
	var list []*Report
	if bytes.HasPrefix(bytes.TrimSpace(reports), []byte("{")) {
		reports = append(append([]byte{'['}, reports...), ']')
	}
	if err := json.Unmarshal(reports, &list); err != nil {
		return fmt.Errorf("reading the reports for a page: %w", err)
	}
	views := make([]view, len(list))
	for i, r := range list {
		if r == nil {
			return fmt.Errorf("reading the reports for a page: entry %d is none", i+1)
		}
		views[i] = newView(i, r)
	}
	data := map[string]any{
		"Title": title(views), "Reports": views,
		"Style": template.CSS(style), "Charts": template.JS(charts), "Script": template.JS(script),
	}
	if err := layout.Execute(w, data); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
