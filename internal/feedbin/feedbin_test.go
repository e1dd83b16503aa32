package feedbin

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"onsale"
)

var update = flag.Bool("update", false, "write the golden frames anew")

// golden is a frame in both forms. The page's client is held to the same file.
type golden struct {
	Name     string          `json:"name"`
	Sections []string        `json:"sections"`
	Hex      string          `json:"hex"`
	Frame    json.RawMessage `json:"frame"`
}

const goldenFile = "testdata/golden.json"

var noon = time.Date(2027, 6, 5, 12, 0, 0, 7_000_000, time.UTC)

// samples are frames with something of everything in them.
func samples() map[string]any {
	return map[string]any{
		"a house where nothing is sold": &onsale.FeedSnapshot{Type: "snapshot", Event: "show", Epoch: 1, At: noon, Sale: onsale.SaleDraft,
			Sections: []onsale.FeedSection{
				{ID: "stand", Counts: onsale.Counts{Available: 400}, Seats: strings.Repeat(strings.Repeat("a", 20)+"|", 20)},
				{ID: "floor", Counts: onsale.Counts{Available: 1_000_000}},
			}},
		"every letter, packed": &onsale.FeedSnapshot{Type: "snapshot", Event: "show", Epoch: 3, Seq: 1 << 40, At: noon, Sale: onsale.SaleRecovering,
			Sections: []onsale.FeedSection{{ID: "stand", Counts: onsale.Counts{Available: 3, Held: 2, Pinned: 1, Sold: 1}, Seats: "ahpswc|ha|"}}},
		"runs of one and of many letters": &onsale.FeedDelta{Type: "delta", Epoch: 2, From: 7, Seq: 300, At: noon, Sale: onsale.SaleOpen,
			Sections: map[string]onsale.FeedChanges{
				"stand": {Counts: onsale.Counts{Available: 2, Held: 200, Sold: 1},
					Seats: []onsale.FeedRun{{Offset: 0, States: "h"}, {Offset: 2, States: "hhhhhhh"}, {Offset: 10, States: "hpsac"}, {Offset: 900, States: strings.Repeat("s", 90)}}},
				"box": {Counts: onsale.Counts{Sold: 5}},
			}},
		"counts alone": &onsale.FeedDelta{Type: "delta", Epoch: 2, From: 300, Seq: 301, At: noon, Sale: onsale.SaleOpen,
			Sections: map[string]onsale.FeedChanges{"floor": {Counts: onsale.Counts{Available: 99, Held: 1}}}},
		"nothing missed": &onsale.FeedDelta{Type: "delta", Epoch: 2, From: 300, Seq: 300, At: noon, Sale: onsale.SalePaused, Sections: map[string]onsale.FeedChanges{}},
		"closed":         &onsale.FeedSale{Type: "sale", Epoch: 2, From: 301, Seq: 302, At: noon, Sale: onsale.SaleClosed},
		"recovering":     &onsale.FeedSale{Type: "sale", Epoch: 2, From: 302, Seq: 302, At: noon, Sale: onsale.SaleRecovering},
	}
}

var sections = []string{"stand", "floor", "box"}

func encode(message any, sections []string) ([]byte, error) {
	switch m := message.(type) {
	case *onsale.FeedSnapshot:
		return Snapshot(m)
	case *onsale.FeedDelta:
		return Delta(m, sections)
	case *onsale.FeedSale:
		return Sale(m)
	}
	panic("no such frame")
}

func TestGoldenFramesAreWrittenAndReadAsEver(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	known := samples()
	if len(all) != len(known) {
		t.Errorf("%d golden frames for %d samples", len(all), len(known))
	}
	for _, g := range all {
		want := known[g.Name]
		if got, err := encode(want, g.Sections); err != nil || hex.EncodeToString(got) != g.Hex {
			t.Errorf("%s: written as %x, %v; want %s", g.Name, got, err, g.Hex)
		}
		data, err := hex.DecodeString(g.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(data, g.Sections); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read as %+v, %v; want %+v", g.Name, got, err, want)
		}
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	var all []golden
	known := samples()
	for _, name := range slices.Sorted(maps.Keys(known)) {
		message := known[name]
		data, err := encode(message, sections)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, golden{name, sections, hex.EncodeToString(data), frame})
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFrameIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		message := draw(rt)
		data, err := encode(message, sections)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := Decode(data, sections)
		if err != nil || !reflect.DeepEqual(got, message) {
			rt.Fatalf("read as %+v, %v; want %+v", got, err, message)
		}
		for n := range data {
			if short, err := Decode(data[:n], sections); err == nil {
				rt.Fatalf("%d of %d bytes are read as %+v", n, len(data), short)
			}
		}
		if _, err := Decode(append(data, 0), sections); err == nil {
			rt.Fatal("a frame with a byte too much is read")
		}
	})
}

func draw(rt *rapid.T) any {
	seatString := rapid.StringOfN(rapid.RuneFrom([]rune(string(letters[:]))), 0, 300, -1)
	counts := rapid.Custom(func(rt *rapid.T) onsale.Counts {
		n := rapid.Int64Range(0, 1<<40)
		return onsale.Counts{Available: n.Draw(rt, "a"), Held: n.Draw(rt, "h"), Pinned: n.Draw(rt, "p"), Sold: n.Draw(rt, "s")}
	})
	seq := rapid.Uint64().Draw(rt, "seq")
	from := rapid.Uint64Range(0, seq).Draw(rt, "from")
	epoch, sale := onsale.Epoch(rapid.Uint64().Draw(rt, "epoch")), rapid.SampledFrom(sales[:]).Draw(rt, "sale")
	at := time.UnixMilli(rapid.Int64Range(-1<<40, 1<<50).Draw(rt, "at")).UTC()
	switch rapid.IntRange(kindSnapshot, kindSale).Draw(rt, "kind") {
	case kindSnapshot:
		s := &onsale.FeedSnapshot{Type: "snapshot", Event: "show", Epoch: epoch, Seq: seq, At: at, Sale: sale, Sections: []onsale.FeedSection{}}
		for _, id := range sections[:rapid.IntRange(0, len(sections)).Draw(rt, "sections")] {
			s.Sections = append(s.Sections, onsale.FeedSection{ID: id, Counts: counts.Draw(rt, "counts"), Seats: seatString.Draw(rt, "seats")})
		}
		return s
	case kindDelta:
		d := &onsale.FeedDelta{Type: "delta", Epoch: epoch, From: from, Seq: seq, At: at, Sale: sale, Sections: map[string]onsale.FeedChanges{}}
		for _, id := range sections {
			if !rapid.Bool().Draw(rt, id) {
				continue
			}
			changes, next := onsale.FeedChanges{Counts: counts.Draw(rt, "counts")}, 0
			for range rapid.IntRange(0, 5).Draw(rt, "runs") {
				states := seatString.Filter(func(s string) bool { return s != "" }).Draw(rt, "states")
				run := onsale.FeedRun{Offset: next + rapid.IntRange(0, 2000).Draw(rt, "gap"), States: states}
				changes.Seats, next = append(changes.Seats, run), run.Offset+len(states)
			}
			d.Sections[id] = changes
		}
		return d
	}
	return &onsale.FeedSale{Type: "sale", Epoch: epoch, From: from, Seq: seq, At: at, Sale: sale}
}

// Bytes that no encoder wrote are refused or mean something, which then is written and read the same.
func FuzzAnyBytesAreRefusedOrMeanOneThing(f *testing.F) {
	for _, message := range samples() {
		data, err := encode(message, sections)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		message, err := Decode(data, sections)
		if err != nil {
			return
		}
		again, err := encode(message, sections)
		if err != nil {
			t.Fatalf("%+v can't be written: %v", message, err)
		}
		if len(again) > len(data) {
			t.Errorf("%x is longer than %x, which says the same", again, data)
		}
		if got, err := Decode(again, sections); err != nil || !reflect.DeepEqual(got, message) {
			t.Errorf("%x is read as %+v, %v; want %+v", again, got, err, message)
		}
	})
}

func TestBrokenFramesAreRefused(t *testing.T) {
	huge := []byte{Version<<4 | kindDelta, 1, 9, 0, 1, 1, 1, 0, 1, 1, 1, 1, 2}
	run := []byte{0, 0x88, 0x80, 0x80, 0x20} // 4 million letters in five bytes
	for name, data := range map[string][]byte{
		"empty":                 nil,
		"another version":       {2<<4 | kindSale, 1, 1, 0, 1, 0},
		"unknown kind":          {Version<<4 | 9},
		"unknown sale":          {Version<<4 | kindSale, 1, 1, 0, 9, 0},
		"from before the start": {Version<<4 | kindSale, 1, 1, 0, 1, 2},
		"too many letters":      append(append(bytes.Clone(huge), run...), run...),
		"section unknown":       {Version<<4 | kindDelta, 1, 9, 0, 1, 1, 1, 3, 1, 1, 1, 1, 0},
		"letter unknown":        {Version<<4 | kindDelta, 1, 9, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1<<4 | uniform | 7},
		"run of nothing":        {Version<<4 | kindDelta, 1, 9, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, uniform},
	} {
		if got, err := Decode(data, sections); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
	for name, message := range map[string]any{
		"unknown section": &onsale.FeedDelta{Sale: onsale.SaleOpen, Sections: map[string]onsale.FeedChanges{"attic": {}}},
		"unknown sale":    &onsale.FeedSale{Sale: "sold"},
		"leads back":      &onsale.FeedSale{Sale: onsale.SaleOpen, From: 2, Seq: 1},
		"unknown letter":  &onsale.FeedSnapshot{Sale: onsale.SaleOpen, Sections: []onsale.FeedSection{{ID: "stand", Seats: "x"}}},
		"runs that cross": &onsale.FeedDelta{Sale: onsale.SaleOpen, Sections: map[string]onsale.FeedChanges{"stand": {Seats: []onsale.FeedRun{{Offset: 1, States: "hh"}, {Offset: 2, States: "s"}}}}},
	} {
		if got, err := encode(message, sections); err == nil {
			t.Errorf("%s: written as %x", name, got)
		}
	}
}

// A big map in the middle of its sale, and 50 ms of a rush on it.
func TestBinaryFramesAreSmall(t *testing.T) {
	row := strings.Repeat("asah", 12) + "ph|"
	s := &onsale.FeedSnapshot{Type: "snapshot", Event: "arena", Epoch: 1, Seq: 90_000, At: noon, Sale: onsale.SaleOpen,
		Sections: []onsale.FeedSection{{ID: "stand", Counts: onsale.Counts{Available: 10_000}, Seats: strings.Repeat(row, 400)}}}
	changes := onsale.FeedChanges{Counts: onsale.Counts{Available: 9_900, Held: 100}}
	for i := range 50 {
		changes.Seats = append(changes.Seats, onsale.FeedRun{Offset: i * 397, States: "hh"})
	}
	d := &onsale.FeedDelta{Type: "delta", Epoch: 1, From: 90_000, Seq: 90_050, At: noon, Sale: onsale.SaleOpen,
		Sections: map[string]onsale.FeedChanges{"stand": changes}}
	for name, most := range map[string]struct {
		message any
		bytes   int
	}{"snapshot of 20,000 seats": {s, 8_000}, "delta of 50 holds": {d, 250}} {
		data, err := encode(most.message, []string{"stand"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(most.message)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, %d as JSON", name, len(data), len(text))
		if len(data) > most.bytes {
			t.Errorf("%s takes %d bytes, want %d at the most", name, len(data), most.bytes)
		}
	}
}

// The example of the documentation is what it says.
func TestDocumentedExampleIsTheFrameThatItSays(t *testing.T) {
	text, err := os.ReadFile("../../docs/feed.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Sale(samples()["closed"].(*onsale.FeedSale))
	if err != nil {
		t.Fatal(err)
	}
	if example := fmt.Sprintf("% x", want); !strings.Contains(string(text), "`"+example+"`") {
		t.Errorf("docs/feed.md doesn't have %s", example)
	}
}
