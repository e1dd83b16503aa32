package bench

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/bench/timeline"
)

// addsUp holds a rush's one timeline against its figures.
func addsUp(t *testing.T, report *Report) *timeline.Timeline {
	t.Helper()
	if len(report.Timelines) != 1 {
		t.Fatalf("%d timelines", len(report.Timelines))
	}
	line := report.Timelines[0]
	for column, figure := range map[string]string{"arrivals.buyers": "buyers", "answers.held": "held", "answers.accepted": "accepted",
		"answers.refused": "refused", "answers.busy": "busy", "orders.sold": "sold", "orders.declined": "declined"} {
		sum := 0.0
		for _, n := range line.Columns[column] {
			sum += n
		}
		if want := report.Figures[figure].Value; sum != want {
			t.Errorf("%s adds up to %v, and %s is %v", column, sum, figure, want)
		}
	}
	return line
}

// What is charted is what the figures count, and nothing that buyers did falls between two ticks.
func TestTimelineAddsUpToTheFigures(t *testing.T) {
	f := newFake(t, breakage{})
	f.busy, f.taken = 3, 4
	report, err := Rush(t.Context(), quick(f, 60))
	if err != nil {
		t.Fatal(err)
	}
	line := addsUp(t, report)
	for _, column := range []string{"latency.hold.p50", "latency.hold.max", "latency.checkout.p99", "latency.staleness.p99", "stock.available", "stock.sold", "codes.seat_taken"} {
		if len(line.Columns[column]) != line.Rows {
			t.Errorf("%s has %d of %d rows", column, len(line.Columns[column]), line.Rows)
		}
	}
	var phases []string
	for _, m := range line.Marks {
		phases = append(phases, m.Text)
		if m.Text == string(PhaseStorm) && (m.At < -0.5 || m.At > 0.5) {
			t.Errorf("the doors opened at %v s, by their own clock", m.At)
		}
	}
	if want := "preparing storm settling expiring auditing"; strings.Join(phases, " ") != want {
		t.Errorf("phases %v, want %s", phases, want)
	}
}

func TestTimelineOfAStormIsThatOfAllItsWorkers(t *testing.T) {
	f := newFake(t, breakage{})
	f.taken = 4
	report, ends, err := storm(t, quick(f, 60), 3)
	if err := errors.Join(append(ends, err)...); err != nil {
		t.Fatal(err)
	}
	if line := addsUp(t, report); line.Columns["codes.seat_taken"] == nil || line.Columns["latency.checkout.max"] == nil || line.Columns["stock.sold"] == nil {
		t.Errorf("there are only %v", slices.Sorted(maps.Keys(line.Columns)))
	}
}

func TestCodesAreJoinedOnce(t *testing.T) {
	var one, joined measured
	teller := newTeller(&one)
	for n := range 3 {
		one.codes.add("sold_out", int64(n))
		tell(t, teller, &joined)
	}
	if got := joined.codes.all(); got["sold_out"] != 3 {
		t.Errorf("joined %v, want 3", got)
	}
}

var spun int // keeps the processor busy

func TestOwnProcessesAreFoundAndWhatTheyUse(t *testing.T) {
	u := newUsage(false)
	began := time.Now()
	if got := u.look(began); got != nil {
		t.Errorf("the first look has found %v", got)
	}
	had := CPUOf(os.Getpid())
	for deadline := began.Add(20 * time.Second); CPUOf(os.Getpid()) == had; { // until the kernel has counted something
		for n := range 1_000_000 {
			spun += n
		}
		if time.Now().After(deadline) {
			t.Fatal("no CPU time is counted")
		}
	}
	got := u.look(time.Now())["bench"]
	if got.Cores <= 0 || got.Memory < 1<<20 || !reflect.DeepEqual(u.latest()["bench"], got) {
		t.Errorf("the bench is said to use %+v", got)
	}
}

func TestProcessesAreToldApartByTheirCommand(t *testing.T) {
	for args, want := range map[string]string{"serve --procs 2": "front", "feed": "feed", "settle --listen :0": "settle", "paysim": "payment",
		"demo --port 0": "onsale", "bench broker --folder x": "kafka", "bench peer noop": "peer", "bench rush": "bench", "": "bench"} {
		if got := kindOfOurs(strings.Fields(args)); got != want {
			t.Errorf("%q is %s, want %s", args, got, want)
		}
	}
	family := familyOf(2, []procStat{{pid: 1}, {pid: 2, parent: 1}, {pid: 3, parent: 2}, {pid: 4, parent: 3}, {pid: 5, parent: 1}})
	if want := map[int]bool{2: true, 3: true, 4: true}; !reflect.DeepEqual(family, want) {
		t.Errorf("the family is %v, want %v", family, want)
	}
}

func TestFurtherCodesAreCountedTogether(t *testing.T) {
	var m measured
	for n := range maxCodes + 10 {
		m.noteAnswer(&onsale.Error{Code: onsale.Code(fmt.Sprint("code-", n))})
	}
	m.noteAnswer(os.ErrDeadlineExceeded)
	all := m.codes.all()
	if len(all) != maxCodes+1 || all[otherCode] != 11 || m.errors.Load() != 1 {
		t.Errorf("%d codes, %d of them others, %d errors", len(all), all[otherCode], m.errors.Load())
	}
}

func TestTerminalShowsAPictureOverTheOneBefore(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	var out bytes.Buffer
	s := newScreen(&out)
	p := Progress{Phase: PhaseStorm, Users: 2000, Elapsed: time.Second, Arrived: 1000, Held: 100, Stock: onsale.Counts{Available: 1500, Held: 100}}
	s.show(p)
	first := out.String()
	out.Reset()
	p.Elapsed, p.Held, p.Errors, p.Broken = 2*time.Second, 350, 2, 1
	p.Codes, p.Usage = map[string]int64{"sold_out": 7}, map[string]Usage{"redis": {Cores: 0.5, Memory: 3 << 20}}
	p.Late = Quantiles{P99: time.Second}
	s.show(p)
	second := out.String()
	if up := fmt.Sprintf("\x1b[%dA\r%s", strings.Count(first, "\n"), eraseDown); !strings.Contains(second, up) {
		t.Errorf("the second picture isn't drawn over the %d lines of the first:\n%q", strings.Count(first, "\n"), second)
	}
	for _, want := range []string{"held 350 (250/s)", "available 1,500", "sold_out 7", "redis 50 % 3 MB", styleRed + "2", styleRed + "   BROKEN promises: 1", "behind its schedule"} {
		if !strings.Contains(second, want) {
			t.Errorf("no %q in\n%s", want, second)
		}
	}
	t.Setenv("NO_COLOR", "1")
	if picture := strings.Join(newScreen(&out).picture(p), "\n"); strings.Contains(picture, "\x1b") {
		t.Errorf("a picture without colours has some: %q", picture)
	}
}

func TestReportsHaveTheirNumbersOnALineAndTextsAsTheyAre(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.json")
	r := NewReport("rush", map[string]any{"event": `[ 1, 2 ] "quoted\`})
	r.Sample("held", []float64{1, 2.5, 3})
	r.Timelines = []*timeline.Timeline{{Rows: 2, Step: 0.25, Columns: map[string]timeline.Column{"answers.held": {1, 2}}, Marks: []timeline.At{}}}
	if err := WriteReports(path, []*Report{r, r}); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"held": [1,2.5,3]`, `"answers.held": [1,2]`, `"marks": []`} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	back, err := ReadReports(path)
	if err != nil || len(back) != 2 || !reflect.DeepEqual(back[1], r) {
		t.Errorf("%v: wrote %+v, read %+v", err, r, back)
	}
	if _, err := ReadReport(path); err == nil {
		t.Error("two reports were read as one")
	}
	if err := os.WriteFile(path, []byte(`[{"scenario":"rush"},null]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadReports(path); err == nil {
		t.Error("nothing was read as a report")
	}
}

func TestAnAimIsMetOrNot(t *testing.T) {
	r := NewReport("rush", nil)
	r.Figures["hold_p50"] = Figure{50, unitMs}
	r.Ratios["error_rate"] = 0.01
	r.AimFor("hold_p50", 50)
	r.AimFor("error_rate", 0.001)
	r.AimFor("unheard_of", 1)
	if got := []bool{r.Aims[0].Met, r.Aims[1].Met, r.Aims[2].Met}; !reflect.DeepEqual(got, []bool{true, false, false}) {
		t.Errorf("met: %v", got)
	}
}
