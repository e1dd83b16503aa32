package feedclient

import (
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onsale"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2027, 6, 5, 12, 0, 0, 0, time.UTC)

// frame makes a Frame of a message, by way of its text.
func frame(t testing.TB, message any) *Frame {
	t.Helper()
	f, err := Parse(text(t, message))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func text(t testing.TB, message any) []byte {
	t.Helper()
	data, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func snapshot(epoch onsale.Epoch, seq uint64) onsale.FeedSnapshot {
	return onsale.FeedSnapshot{
		Type: onsale.FrameSnapshot, Event: "show", Epoch: epoch, Seq: seq, At: noon, Sale: onsale.SaleOpen,
		Sections: []onsale.FeedSection{
			{ID: "stand", Counts: onsale.Counts{Available: 4}, Seats: "aa|aa|"},
			{ID: "floor", Counts: onsale.Counts{Available: 10}},
		},
	}
}

func delta(epoch onsale.Epoch, from, seq uint64) onsale.FeedDelta {
	return onsale.FeedDelta{
		Type: onsale.FrameDelta, Epoch: epoch, From: from, Seq: seq, At: noon, Sale: onsale.SaleOpen,
		Sections: map[string]onsale.FeedChanges{"stand": {
			Counts: onsale.Counts{Available: 2, Held: 2},
			Seats:  []onsale.FeedRun{{Offset: 1, States: "h"}, {Offset: 3, States: "h"}},
		}},
	}
}

func TestDeltaFoldsIntoTheViewAndLeavesTheOldViewAlone(t *testing.T) {
	var fold Fold
	if fold.Current() {
		t.Fatal("a client without a snapshot says that it is current")
	}
	apply(t, &fold, snapshot(1, 7), false)
	before := fold.View()
	apply(t, &fold, delta(1, 7, 9), false)

	want := snapshot(1, 9)
	want.Sections[0] = onsale.FeedSection{ID: "stand", Counts: onsale.Counts{Available: 2, Held: 2}, Seats: "ah|ha|"}
	if err := Differ(fold.View(), &want); err != nil {
		t.Error(err)
	}
	if err := Check(fold.View()); err != nil {
		t.Error(err)
	}
	old := snapshot(1, 7)
	if err := Differ(before, &old); err != nil {
		t.Errorf("the earlier view changed: %v", err)
	}
}

func TestClientAsksOnceForEachGap(t *testing.T) {
	cases := map[string]struct {
		frames []any
		gaps   []bool
		seq    uint64
		now    bool
	}{
		"known already is ignored":     {[]any{snapshot(1, 7), delta(1, 5, 7), delta(1, 7, 8)}, []bool{false, false, false}, 8, true},
		"missed delta is one gap":      {[]any{snapshot(1, 7), delta(1, 8, 9), delta(1, 9, 10)}, []bool{false, true, false}, 7, false},
		"new epoch is a gap":           {[]any{snapshot(1, 7), delta(2, 7, 8)}, []bool{false, true}, 7, false},
		"old epoch's seq is no excuse": {[]any{snapshot(2, 7), delta(1, 1, 2)}, []bool{false, true}, 7, false},
		"snapshot ends the gap":        {[]any{snapshot(1, 7), delta(1, 8, 9), snapshot(1, 9), delta(1, 9, 10)}, []bool{false, true, false, false}, 10, true},
		"second gap is asked again":    {[]any{snapshot(1, 7), delta(1, 8, 9), snapshot(1, 9), delta(1, 10, 11)}, []bool{false, true, false, true}, 9, false},
		"delta before any snapshot":    {[]any{delta(1, 1, 2), snapshot(1, 7)}, []bool{false, false}, 7, true},
		"snapshot of a lower sequence": {[]any{snapshot(2, 7), snapshot(2, 3), delta(2, 3, 4)}, []bool{false, false, false}, 4, true},
		"unknown type is ignored":      {[]any{snapshot(1, 7), map[string]any{"type": "queue", "seq": 9}}, []bool{false, false}, 7, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var fold Fold
			for i, message := range c.frames {
				apply(t, &fold, message, c.gaps[i])
			}
			if fold.View().Seq != c.seq || fold.Current() != c.now {
				t.Errorf("at %d, current %v; want %d, %v", fold.View().Seq, fold.Current(), c.seq, c.now)
			}
		})
	}
}

func TestBrokenFramesAreErrorsAndChangeNothing(t *testing.T) {
	beyond, unknown, huge := delta(1, 7, 8), delta(1, 7, 8), delta(1, 7, 8)
	beyond.Sections = map[string]onsale.FeedChanges{"stand": {Seats: []onsale.FeedRun{{Offset: 5, States: "hh"}}}}
	unknown.Sections = map[string]onsale.FeedChanges{"attic": {}}
	huge.Sections = map[string]onsale.FeedChanges{"stand": {Seats: []onsale.FeedRun{{Offset: 1<<63 - 1, States: "h"}}}}
	for name, broken := range map[string]onsale.FeedDelta{"seats beyond the section": beyond, "unknown section": unknown, "offset that overflows": huge} {
		var fold Fold
		apply(t, &fold, snapshot(1, 7), false)
		if _, err := fold.Apply(frame(t, broken)); err == nil {
			t.Errorf("%s: no error", name)
		}
		want := snapshot(1, 7)
		if err := Differ(fold.View(), &want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, data := range []string{``, `[]`, `{}`, `{"type":"delta","seq":-1}`, `{"type":"delta","sections":{"stand":{"seats":[["x",1]]}}}`} {
		if _, err := Parse([]byte(data)); err == nil {
			t.Errorf("%q was parsed", data)
		}
	}
}

func TestClientsInStepShareOneView(t *testing.T) {
	var parser Parser
	var folds [2]Fold
	for _, message := range []any{snapshot(1, 7), delta(1, 7, 8)} {
		for i := range folds {
			f, err := parser.Parse(text(t, message))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := folds[i].Apply(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if folds[0].View() != folds[1].View() {
		t.Error("two clients with the same frames hold two views")
	}
}

func TestParserForgetsTheOldestFrame(t *testing.T) {
	var parser Parser
	for seq := range uint64(3 * parserMemory) {
		if _, err := parser.Parse(text(t, delta(1, seq, seq+1))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(parser.frames); n != parserMemory {
		t.Errorf("remembers %d frames, want %d", n, parserMemory)
	}
}

func TestCheckNamesAContradiction(t *testing.T) {
	wrong, negative := snapshot(1, 1), snapshot(1, 1)
	wrong.Sections[0].Seats = "ah|aa|"
	negative.Sections[1].Held = -1
	for _, view := range []onsale.FeedSnapshot{wrong, negative} {
		if err := Check(&view); err == nil {
			t.Errorf("%+v passed", view.Sections)
		}
	}
}

func apply(t *testing.T, fold *Fold, message any, gapWanted bool) {
	t.Helper()
	gap, err := fold.Apply(frame(t, message))
	if err != nil {
		t.Fatal(err)
	}
	if gap != gapWanted {
		t.Errorf("gap %v after %T, want %v", gap, message, gapWanted)
	}
}
