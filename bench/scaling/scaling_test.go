package scaling

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"onsale"
	"onsale/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// measuredOnce are the reports of runs that were made once.
func measuredOnce(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) != 5 {
		t.Fatalf("%v, %v", paths, err)
	}
	return paths
}

func generated(t *testing.T, paths ...string) string {
	t.Helper()
	reports, err := Read(paths...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Generate(reports)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheSameReportsMakeTheSameTablesInWhateverOrder(t *testing.T) {
	t.Parallel()
	paths := measuredOnce(t)
	first := generated(t, paths...)
	for range 3 {
		slices.Reverse(paths)
		if again := generated(t, paths...); again != first {
			t.Fatalf("once\n%s\nand once\n%s", first, again)
		}
	}
	for _, m := range table {
		if !strings.Contains(first, "`"+m.symbol+"`") {
			t.Errorf("the tables don't name %s", m.symbol)
		}
	}
}

func TestAMissingReportOrFigureNamesTheCommandThatMakesIt(t *testing.T) {
	t.Parallel()
	paths := measuredOnce(t)
	for i, path := range paths {
		scenario := strings.TrimSuffix(filepath.Base(path), ".json")
		if _, err := Read(slices.Delete(slices.Clone(paths), i, i+1)...); !refuses(err, makes[scenario]) {
			t.Errorf("without %s: %v", scenario, err)
		}
	}
	reports, err := Read(paths...)
	if err != nil {
		t.Fatal(err)
	}
	delete(reports[fromHolds].Figures, "refusals_cpu")
	delete(reports[fromFeed].Figures, "fanout_cpu")
	_, err = Generate(reports)
	if !refuses(err, "refusals_cpu", "make bench-holds", "fanout_cpu", "make bench-feed") {
		t.Errorf("without two figures: %v", err)
	}
}

func TestNothingIsBuiltOnARunThatBrokeAPromise(t *testing.T) {
	t.Parallel()
	paths := measuredOnce(t)
	broken := filepath.Join(t.TempDir(), "engine.json")
	report, err := bench.ReadReport("testdata/engine.json")
	if err != nil {
		t.Fatal(err)
	}
	report.OK = false
	if err := report.Write(broken); err != nil {
		t.Fatal(err)
	}
	paths[slices.Index(paths, "testdata/engine.json")] = broken
	if _, err := Read(paths...); !refuses(err, broken, "make bench-engine") {
		t.Errorf("%v", err)
	}
}

func TestTwoReportsOfOneScenarioAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := Read(append(measuredOnce(t), "testdata/holds.json")...); !refuses(err, "holds.json", "one of each") {
		t.Errorf("%v", err)
	}
}

func TestReportsOfOtherScenariosArePassedOver(t *testing.T) {
	t.Parallel()
	other := filepath.Join(t.TempDir(), "rush.json")
	if err := bench.NewReport("rush", nil).Write(other); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(append(measuredOnce(t), other)...); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrittenAroundTheMarksStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "SCALING.md")
	const before, after = "# Before\n\n", "\n\nAfter\n"
	if err := os.WriteFile(path, []byte(before+beginMark+"\nold\n"+endMark+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rewrite(path, "new\n"); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != before+beginMark+"\n\nnew\n\n"+endMark+after {
			t.Fatalf("%q, %v", text, err)
		}
	}
	for _, document := range []string{"", beginMark, endMark + beginMark, beginMark + beginMark + endMark} {
		if _, err := replaced(document, "new"); !refuses(err) {
			t.Errorf("%q: %v", document, err)
		}
	}
}

func TestThePageHasItsTablesAndNamesEveryConstantOfTheFormulas(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../SCALING.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replaced(string(page), ""); err != nil {
		t.Fatal(err)
	}
	if says := fmt.Sprintf("a heartbeat each %.0f s", onsale.DefaultHeartbeat.Seconds()); !strings.Contains(string(page), says) {
		t.Errorf("the page doesn't say %q", says)
	}
	for _, m := range table {
		if !strings.Contains(string(page), "| `"+m.symbol+"` |") {
			t.Errorf("the page doesn't have %s: make scaling writes its tables anew", m.symbol)
		}
	}
}

// A constant of nothing would make a tier that costs nothing.
func TestWhatWasTooLittleToBeMeasuredIsNotReckonedWith(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{0, -1} {
		reports, err := Read(measuredOnce(t)...)
		if err != nil {
			t.Fatal(err)
		}
		reports[fromTiers].Figures["one_front_read_cpu"] = bench.Figure{Value: v, Unit: "µs"}
		if _, err := Generate(reports); !refuses(err, "front.read", "bench tiers", "one_front_read_cpu") {
			t.Errorf("with an order that is read in %v µs: %v", v, err)
		}
	}
}

func TestHeartbeatsThatCannotBeToldApartAreMarkedAsABound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		idle float64 // cores, of which two processes take 0.028 anyway
		want float64
		mark string
	}{
		{0.02, 0.02 * 20e6 / 4_000, "≤ 100 µs"}, // less than nothing
		{0.03, 0.03 * 20e6 / 4_000, "≤ 150 µs"}, // hardly more
		{0.128, 0.1 * 20e6 / 4_000, "500 µs"},
	} {
		reports, err := Read(measuredOnce(t)...)
		if err != nil {
			t.Fatal(err)
		}
		feed := reports[fromFeed]
		feed.Ratios["idle_cpu"] = c.idle
		feed.Params["conns"], feed.Params["procs"], feed.Params["heartbeat_seconds"] = 4_000., 2., 20.
		got, err := constants(reports)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "a heartbeat", got.FeedBeat, c.want)
		if text := tables(reports, got); !strings.Contains(text, "| `feed.beat` | "+c.mark+" |") {
			t.Errorf("%v cores at rest are not marked %q", c.idle, c.mark)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.001234: "0.00123", 1.5: "1.5", 999: "999", 999.6: "1,000", 12_345: "12,300", 1_234_567: "1,230,000"} {
		if got := short(v); got != want {
			t.Errorf("%v is %q, not %q", v, got, want)
		}
	}
}

// refuses reports whether an error is one of wrong settings and has these words.
func refuses(err error, words ...string) bool {
	if _, is := errors.AsType[*bench.ConfigError](err); !is {
		return false
	}
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(err.Error(), word) })
}
