package holds

import (
	"testing"

	"pgregory.net/rapid"

	"onsale"
)

// A section is read in windows of a thousand seats, and what a call has learned of them
// the next one believes. Here windows have a few seats each, so that every block, run
// and orphan comes to lie across their seams, in a house that is filled, picked at and
// given back over and over.

// smallWindows are the changes that make windows small.
var smallWindows = []string{
	"local WINDOW = 2048", "local WINDOW = 5",
	"local REACH = 104", "local REACH = 10",
	"local LARGEST = 8", "local LARGEST = 2",
}

// seamEvent has rows that are longer and shorter than a window, and few buyers' limits.
func seamEvent(e *onsale.Event) {
	e.HoldSeconds, e.MaxPerBuyer, e.HoldsPerMinute = 600, 50, 100_000
	e.Sections = []onsale.Section{
		{ID: "stand", Kind: onsale.Reserved, Price: 8000, Wheelchair: []string{"D-5", "E-1"}, Companion: []string{"D-6", "E-2"},
			Rows: []onsale.Row{{ID: "A", Seats: 7}, {ID: "B", Seats: 12}, {ID: "C", Seats: 3}, {ID: "D", Seats: 25}, {ID: "E", Seats: 9}, {ID: "F", Seats: 1}}},
		{ID: "circle", Kind: onsale.Reserved, Price: 8000, Rows: []onsale.Row{{ID: "A", Seats: 13}, {ID: "B", Seats: 4}}},
	}
}

// drawSeamStep draws mostly holds, so that the house is nearly full most of the time.
func drawSeamStep(r *rapid.T) step {
	s := step{advance: rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 300_000}).Draw(r, "advance")}
	for range rapid.IntRange(1, 6).Draw(r, "operations") {
		s.ops = append(s.ops, trialOp{
			name:  rapid.SampledFrom([]string{"hold", "hold", "hold", "hold", "release", "release", "release"}).Draw(r, "name"),
			buyer: rapid.SampledFrom([]string{"ann", "bob", "cy", "dee"}).Draw(r, "buyer"),
			asks:  rapid.SliceOfN(rapid.Custom(drawSeamAsk), 1, rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(r, "most asks")).Draw(r, "asks"),
			hold:  rapid.IntRange(0, 30).Draw(r, "hold"),
			owner: true,
		})
	}
	return s
}

func drawSeamAsk(r *rapid.T) onsale.Ask {
	n := rapid.SampledFrom([]int{1, 2, 2, 3, 3, 4, 4}).Draw(r, "n")
	switch rapid.IntRange(0, 9).Draw(r, "kind") {
	case 0:
		seats := []string{"A-1", "A-4", "B-2", "B-3", "B-7", "B-12", "C-2", "D-3", "D-8", "D-12", "D-17", "D-25", "E-4"}
		return onsale.Ask{Section: "stand", Seats: []string{rapid.SampledFrom(seats).Draw(r, "seat")}}
	case 1:
		return onsale.Ask{Section: "stand", Quantity: 2, Wheelchair: 1, Split: rapid.Bool().Draw(r, "split")}
	case 2:
		return onsale.Ask{Sections: []string{"circle", "stand"}, Quantity: n}
	}
	return onsale.Ask{Section: "stand", Quantity: n, Split: rapid.IntRange(0, 9).Draw(r, "split") == 0}
}

// surviveSeams runs schedules, always the same ones, until an answer differs.
func surviveSeams(t *testing.T, change func(*onsale.Event), script *script, most int) (steps int, differs string) {
	step := rapid.Custom(drawSeamStep)
	for steps < most {
		h := newHouse(t, func(e *onsale.Event) { seamEvent(e); change(e) })
		h.desk.batcher(h.layout.Event.ID, testEpoch).script = fenced(script)
		trial := newTrial(h)
		for range 120 {
			steps++
			if differs = trial.run(step.Example(steps)); differs != "" {
				return steps, differs
			}
		}
	}
	return steps, ""
}

func TestWindowsHaveNoSeams(t *testing.T) {
	for name, change := range map[string]func(*onsale.Event){
		"orphans avoided": func(*onsale.Event) {},
		"orphans allowed": func(e *onsale.Event) { e.AllowOrphans = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if steps, differs := surviveSeams(t, change, mutate(t, smallWindows...), mutantSteps/2); differs != "" {
				t.Errorf("caught after %d steps: %s", steps, differs)
			}
		})
	}
}

// windowMutants are mistakes that show only where a window ends, or in the next call.
var windowMutants = map[string][2]string{
	"a window doesn't reach beyond itself":          {"local REACH = 10", "local REACH = 3"},
	"a run that began before a window is its own":   {"while letter_at(view, i, mine) == trail.run do i = i + 1 end", ""},
	"a block of the next window":                    {"or p > WINDOW + 1 then", "then"},
	"what came back opens no window":                {"if is_shut(trail, i) then set_open(ground, trail, i, '1') end\n      end", "end"},
	"what came back opens its own window only":      {"floor((from - REACH) / WINDOW)", "floor(from / WINDOW)"},
	"what is left of a run opens no window":         {"if shut then set_open(ground, trail, i, '1') end", ""},
	"what is left is for larger blocks only":        {"left == trail.n or", "false or"},
	"a call that releases teaches nothing":          {"if ground then catch_up(ground, changes) end\n  end\n  local fields", "end\n  local fields"},
	"a hold's own choice shuts a window":            {"    if not near[i] then\n      view.at[trail] = p", "    if true then\n      view.at[trail] = p"},
	"a window is read as it was before the call":    {"local view, changes = ground.views[i], ground.changes[i]", "local view, changes = ground.views[i], nil"},
	"a trail goes on where seats have come back":    {"if ground.views[i] then ground.views[i].at = {} end", ""},
	"another trail's holds are not laid":            {"not (goes_on and view.reader == trail and view.at[trail])", "not (goes_on and view.at[trail])"},
	"a large block is looked for where none can be": {"if n > LARGEST and not next_block", "if n > LARGEST and next_block"},
	"the largest that fits is one too small":        {"size, from = most, 0", "size, from = math.max(1, most - 1), 0"},
	"a split goes on from beyond its last block":    {"      from = low\n", "      from = high + 1\n"},
	"a split's windows stay as they were":           {"longest[k], near[k] = nil, k", "near[k] = k"},
	"what a split leaves is near nothing":           {"longest[k], near[k] = nil, k", "longest[k] = nil"},
	"smaller sizes begin where larger ones ended":   {"if n < size then size, from = n, 0 end", "if n < size then size = n end"},
	"wheelchair places are looked for too far on":   {"floor((first - c - ground.first) / WINDOW)", "floor((first + c - ground.first) / WINDOW)"},
	"sections begin where another one does":         {"first, stop = match(known, '^(%d+) (%d+)')", "first, stop = 0, select(2, match(known, '^(%d+) (%d+)'))"},
	"what is picked leaves the trails as they were": {"if from == 'a' or to == 'a' then", "if to == 'a' then"},
	"a choice is near nothing":                      {"near[i] = true", "near[i] = nil"},
}

func TestEveryMistakeAtAWindowsSeamIsCaught(t *testing.T) {
	for name, change := range windowMutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutant := mutate(t, append(append([]string{}, smallWindows...), change[:]...)...)
			steps, differs := surviveSeams(t, func(*onsale.Event) {}, mutant, mutantSteps)
			if differs == "" {
				t.Errorf("survived %d steps", steps)
			}
			t.Logf("caught after %d steps: %s", steps, differs)
		})
	}
}
