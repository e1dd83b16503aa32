package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// One browser for all tests; each test has a tab in a browser context of its own,
// so that no storage, cache or socket of another test is seen.

const (
	// patience is how long a page may take to come to what a test waits for.
	patience = 15 * time.Second
	// shotsVariable names a folder to leave screenshots in.
	shotsVariable = "ONSALE_TEST_SHOTS"
)

var browser context.Context // set by TestMain before any test runs

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("force-prefers-reduced-motion", false))
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
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
	// fasthttp's clock for the Date header runs for as long as the process.
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// tab is a page under test.
type tab struct {
	t    *testing.T
	base string
	ctx  context.Context
}

// openTab opens an address of the site, as "/#/events/arena-2027". The test fails
// if the page throws, or breaks its Content-Security-Policy.
func openTab(t *testing.T, base, address string) *tab {
	t.Helper()
	watch := func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %v", event.ExceptionDetails)
		case *log.EventEntryAdded:
			if source := event.Entry.Source; source == log.EntrySourceSecurity || source == log.EntrySourceJavascript {
				t.Errorf("the page was told: %s", event.Entry.Text)
			}
		}
	}
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(watch))
	p := &tab{t: t, base: base, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			p.shoot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		closeTab()
	})
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatalf("opening a tab: %v", err)
	}
	do(p, "sizing the window", chromedp.EmulateViewport(1180, 860))
	do(p, "opening "+address, chromedp.Navigate(base+address))
	return p
}

// do runs an action with the tests' patience, and returns its result.
func do[T any](p *tab, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return result
}

// eval evaluates an expression for what it does.
func (p *tab) eval(expression string) {
	p.t.Helper()
	value[chromedp.Void](p, expression)
}

// value is what an expression evaluates to; a promise is awaited.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	return do(p, "evaluating "+expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// eventually waits until an expression is true.
func (p *tab) eventually(what, expression string) {
	p.t.Helper()
	do(p, "waiting until "+what, chromedp.Poll[chromedp.Void]("!!("+expression+")",
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience)))
}

// shows waits until the element has the text in it.
func (p *tab) shows(selector, text string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s shows %q", selector, text),
		fmt.Sprintf("document.querySelector(%s)?.innerText.includes(%s)", quoted(selector), quoted(text)))
}

// gone waits until no element matches.
func (p *tab) gone(selector string) {
	p.t.Helper()
	p.eventually(selector+" is gone", fmt.Sprintf("!document.querySelector(%s)", quoted(selector)))
}

// press waits until a button with the label can be pressed, and presses it as a mouse does.
func (p *tab) press(label string) {
	p.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll('button')].find((b) => !b.disabled && b.offsetParent && (b.innerText === %[1]s || b.ariaLabel === %[1]s))", quoted(label))
	p.eventually("there is a button "+label, find)
	do(p, "pressing "+label, chromedp.Click(chromedp.JSPath(find)))
}

// phone makes the tab as small as a phone's, with its density of pixels.
func (p *tab) phone() {
	do(p, "shrinking the window", chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
}

// prefer sets a media feature, as "prefers-color-scheme" to "dark".
func (p *tab) prefer(feature, setting string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: setting}}})
	if err != nil {
		p.t.Fatalf("preferring %s %s: %v", feature, setting, err)
	}
}

// shoot leaves a screenshot in the folder that shotsVariable names, if it does.
func (p *tab) shoot(name string) {
	p.t.Helper()
	folder := os.Getenv(shotsVariable)
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644)
	}
	if err != nil {
		p.t.Errorf("taking a screenshot: %v", err)
	}
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// eventually waits until a condition of the office holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
