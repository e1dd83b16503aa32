package engine

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"onsale"
)

var askBodies = []string{
	`{"lines":[{"section":"floor","quantity":2}]}`,
	` { "lines" : [ { "quantity":1 , "section":"north" } , {"section":"south","seats":["A-1","A-2"]} ] } `,
	`{"lines":[{"section":"floor","quantity":0}]}`, `{"lines":[{"section":"floor","quantity":-1}]}`, `{"lines":[{"section":"floor","quantity":01}]}`,
	`{"lines":[{"section":"floor","quantity":1.5}]}`, `{"lines":[{"section":"floor","quantity":99999999999999999999}]}`,
	`{"lines":[{"section":"fl\u006for","quantity":1}]}`, `{"lines":[{"section":"flöor","quantity":1}]}`, "{\"lines\":[{\"section\":\"fl\x00oor\"}]}",
	`{"lines":[{"section":"a","section":"b","quantity":1}]}`, `{"lines":[{"quantity":1,"quantity":2}]}`, `{"lines":[{"seats":[],"seats":["A-1"]}]}`,
	`{"lines":[]}`, `{"lines":null}`, `{"lines":[{}]}`, `{"lines":[{"section":"a"},]}`, `{"lines":[{"section":"a",}]}`, `{}`, ``, `{`, `[]`, `null`,
	`{"lines":[{"section":"a"}]}x`, `{"lines":[{"section":"a"}],"more":1}`, `{"lines":[{"price":5,"quantity":1}]}`, `{"LINES":[{"section":"a"}]}`,
	`{"lines":[{"section":"a","seats":["A-1",2]}]}`, `{"lines":[{"section":"a","quantity":1e2}]}`, `{"lines":[{"section":"a" "quantity":1}]}`,
}

// What the scanner takes, the decoder must read in just the same way.
func checkScan(t *testing.T, body []byte) (scanned bool) {
	t.Helper()
	asks, ok := scanAsks(body)
	if !ok {
		return false
	}
	var want struct {
		Lines []onsale.Ask `json:"lines"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&want); err != nil || d.More() {
		t.Fatalf("%q is scanned as %+v, but the decoder says %v", body, asks, err)
	}
	if !reflect.DeepEqual(asks, want.Lines) {
		t.Fatalf("%q is scanned as %+v and decoded as %+v", body, asks, want.Lines)
	}
	return true
}

func TestScannedAsksAreWhatTheDecoderReads(t *testing.T) {
	t.Parallel()
	for i, body := range askBodies {
		if scanned := checkScan(t, []byte(body)); scanned != (i < 2) {
			t.Errorf("%q: scanned %v", body, scanned)
		}
	}
}

func FuzzScannedAsks(f *testing.F) {
	for _, body := range askBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkScan(t, body) })
}
