package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"onsale"
	"onsale/bench/timeline"
)

// patience is how long the page may take to come to what a test waits for.
const patience = 60 * time.Second

var browser context.Context // set by TestMain before any test runs

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true))...)
	ctx, endBrowser := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "starting Chromium (make test installs it):", err)
		return 1
	}
	browser = ctx
	code := m.Run()
	if err := chromedp.Cancel(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "closing Chromium:", err)
		code = 1
	}
	endBrowser()
	endAllocator()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// hostile is what an event may be called.
const hostile = `</script><script>window.stolen = 1</script><img src=x onerror="window.stolen = 1">`

// sample is a list of two reports: a rush with faults that broke a promise, and one of rounds.
func sample(t *testing.T) ([]byte, *timeline.Timeline) {
	t.Helper()
	doors := time.Unix(1_800_000_000, 0)
	r := timeline.New(0)
	for n := range 40 {
		at := doors.Add(time.Duration(n-4) * timeline.Tick)
		r.Count("answers.held", at, int64(n))
		r.Count("answers.errors", at, 0)
		r.Level("stock.available", at, float64(100-n))
		r.Level("stock.sold", at, float64(n))
		if n%4 == 0 {
			r.Level("cpu."+hostile, at, 50)
			r.Durations("hold").Took(at, time.Duration(n+1)*time.Millisecond, 3)
		}
	}
	line := timeline.Join(doors, r.Shard())
	line.Title = hostile
	line.Marks = []timeline.At{{At: 0, Kind: "phase", Text: "storm"}, {At: 2, Until: 3, Kind: "fault", Text: "kill redis " + hostile}}
	rush := map[string]any{"scenario": "rush", "ok": false, "params": map[string]any{"event": hostile, "users": 150000}, "machine": Machine{Cores: 2, OS: "linux"},
		"figures": map[string]Figure{"hold_p50": {12.5, "ms"}, "hold_max": {99, "ms"}, "held": {12345, "holds"}},
		"audit":   map[string]any{"oversold": 1, "violations": []onsale.Violation{{Invariant: 2, Subject: "seat A-1", Detail: hostile}}},
		"aims":    []map[string]any{{"name": "hold_p50", "most": 50, "value": 12.5, "met": true}}, "timelines": []any{line}}
	holds := map[string]any{"scenario": "holds", "ok": true, "figures": map[string]Figure{"holds": {3, "1/s"}}, "samples": map[string][]float64{"holds": {1, 3, 5}}}
	body, err := json.Marshal([]any{rush, holds})
	if err != nil {
		t.Fatal(err)
	}
	return body, line
}

// open writes the page to a file, opens it, and fails the test if it throws or complains.
func open(t *testing.T, reports []byte) context.Context {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, reports); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %v", event.ExceptionDetails)
		case *log.EventEntryAdded:
			t.Errorf("the page was told: %s", event.Entry.Text)
		}
	}))
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String())); err != nil {
		t.Fatalf("opening the page: %v", err)
	}
	return ctx
}

func evaluate[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return result
}

// Every series that the timeline has is charted, with all of its points; and what a report
// says is a text wherever it stands.
func TestChartsHaveThePointsOfTheTimelineAndTextsStayTexts(t *testing.T) {
	body, line := sample(t)
	tab := open(t, body)
	if evaluate[string](tab, t, "document.body.dataset.drawn") != "yes" {
		t.Fatal("the page is not drawn")
	}
	for chart, prefix := range map[string]string{"Answers": "answers.", "Stock": "stock.", "Hold": "latency.hold.", "CPU": "cpu."} {
		for name, column := range line.Columns {
			series, ok := strings.CutPrefix(name, prefix)
			if !ok {
				continue
			}
			want := 0
			for _, v := range column {
				if !math.IsNaN(v) {
					want++
				}
			}
			got := evaluate[int](tab, t, fmt.Sprintf(`+[...document.querySelectorAll('[data-chart=%q] path')].find(p => p.dataset.series === %q)?.dataset.points`, chart, series))
			if got != want || want == 0 {
				t.Errorf("%s of %s has %d points, want %d", series, chart, got, want)
			}
		}
	}
	for what, expression := range map[string]string{
		"a script of a report has run":           "window.stolen === 1",
		"something came in as markup":            "document.querySelectorAll('img').length > 0",
		"a kind that never came is charted":      "[...document.querySelectorAll('[data-chart=Answers] path')].some(p => p.dataset.series === 'errors')",
		"the fault is missing":                   "!document.querySelector('.fault title').textContent.includes('kill redis')",
		"the verdict is missing":                 "!document.querySelector('.verdict.bad .word').textContent.includes('broken')",
		"the second report is shown, too":        "document.querySelectorAll('.report.shown').length !== 1",
		"the violation is missing":               "!document.querySelector('.violations').textContent.includes('onerror')",
		"the rounds have lost one":               "document.querySelectorAll('.strip circle').length !== 3",
		"a path has something that is no number": "[...document.querySelectorAll('path')].some(p => /NaN|Infinity|undefined/.test(p.getAttribute('d')))",
	} {
		if evaluate[bool](tab, t, expression) {
			t.Error(what)
		}
	}
}

func TestHoveringShowsTheValuesOfTheMoment(t *testing.T) {
	body, _ := sample(t)
	tab := open(t, body)
	got := evaluate[string](tab, t, `(() => {
		const svg = document.querySelector('[data-chart=Stock] svg'), box = svg.getBoundingClientRect();
		svg.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width * (46 + 448 * 12.5 / 40) / 500, clientY: box.top + 20 }));
		return document.getElementById('tip').innerText;
	})()`)
	for _, want := range []string{"2 s", "12", "88", "kill redis"} { // the 12th row begins two seconds after the doors
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	chosen := evaluate[bool](tab, t, `(() => { document.querySelectorAll('nav a')[1].click(); document.getElementById('theme').click(); return document.documentElement.dataset.theme !== undefined; })()`)
	if !chosen {
		t.Error("the theme can't be chosen")
	}
}

func TestWhatIsNoReportMakesNoPage(t *testing.T) {
	for _, body := range []string{"", "[null]", "7", `{"timelines": "many"}`} {
		if err := Write(new(bytes.Buffer), []byte(body)); err == nil {
			t.Errorf("%q made a page", body)
		}
	}
	var one bytes.Buffer
	if err := Write(&one, []byte(`{"scenario":"rush","ok":true}`)); err != nil || !strings.Contains(one.String(), "Every promise was kept") {
		t.Errorf("one report: %v", err)
	}
}

// A crowd that asks as fast as it is answered has no moments at which its requests were due.
func TestWhatLatenciesCountFromIsSaidOnlyOfThoseThatWereDue(t *testing.T) {
	for report, due := range map[string]bool{
		`{"scenario":"rush","ok":true,"figures":{"hold_p50":{"value":1,"unit":"ms"},"hold_max":{"value":2,"unit":"ms"}}}`:                true,
		`{"scenario":"peers","ok":true,"figures":{"onsale_hold_p50":{"value":1,"unit":"ms"},"onsale_hold_p99":{"value":2,"unit":"ms"}}}`: false,
	} {
		var page bytes.Buffer
		if err := Write(&page, []byte(report)); err != nil || strings.Contains(page.String(), "was due") != due {
			t.Errorf("said: %v, %v of %s", !due, err, report)
		}
	}
}

func TestNumbersAreForPeople(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12345: "12\u202f345", 1234.5: "1\u202f235", 0.25: "0.25", 99.99: "99.99", -7: "−7", 1_000_000: "1\u202f000\u202f000"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
