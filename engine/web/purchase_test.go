package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"onsale"
)

func reload(p *tab) {
	p.t.Helper()
	do(p, "reloading", chromedp.Reload())
	p.shows(".live", "Live")
}

// keys are the Idempotency-Keys of requests, without repeats in a row.
func keys(requests []string) []string {
	var keys []string
	for _, r := range requests {
		key := r[strings.LastIndex(r, " ")+1:]
		if len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestReloadFindsTheHoldTheOrderAndTheTickets(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
	reload(p)
	p.shows(".panel h2", "Held for you")
	p.press("Pay €45.00")
	p.shows(".panel h2", "Order accepted")
	reload(p)
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
	p.shows(".panel h2", "You have your tickets")
	reload(p)
	p.eventually("the ticket is there", "document.querySelectorAll('.ticket .code').length === 1")
	if sessions := o.sent("POST /v1/sessions"); len(sessions) != 1 {
		t.Errorf("%d sessions were made, want one for all", len(sessions))
	}
}

func TestBusyServerIsAskedAgainUnderTheSameKey(t *testing.T) {
	o := newOffice(t, arena())
	busy := onsale.Busy(onsale.CodeOverloaded, "come back", time.Second, nil)
	o.refuse(busy, busy)
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel", "Trying again by itself")
	p.shoot("busy")
	p.shows(".panel h2", "Held for you")
	asked := o.sent("POST /v1/events/arena-2027/holds")
	if len(asked) != 3 || len(keys(asked)) != 1 {
		t.Errorf("asked as %v, want three times under one key", asked)
	}
	o.refuse(busy)
	p.press("Pay €45.00")
	p.shows(".panel h2", "Order accepted")
	paid := o.sent("POST /v1/holds/")
	if len(paid) != 2 || len(keys(paid)) != 1 {
		t.Errorf("paid as %v, want twice under one key", paid)
	}
}

func TestReloadWhileTheServerIsBusyDoesNotAskForASecondHold(t *testing.T) {
	o := newOffice(t, arena())
	busy := onsale.Busy(onsale.CodeOverloaded, "come back", 5*time.Second, nil)
	o.refuse(busy)
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel", "Trying again by itself")
	reload(p)
	p.shows(".panel h2", "Held for you")
	if asked := keys(o.sent("POST /v1/events/arena-2027/holds")); len(asked) != 1 {
		t.Errorf("asked under %d keys, want one", len(asked))
	}
	p.shows(left("floor"), "199")
}

func TestWaitingForABusyServerCanBeStopped(t *testing.T) {
	o := newOffice(t, arena())
	o.refuse(onsale.Busy(onsale.CodeOverloaded, "come back", 30*time.Second, nil))
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel", "Trying again by itself")
	p.press("Stop")
	p.shows(".panel h2", "1 ticket chosen")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
}

func TestLostAnswerOfACheckoutIsAskedForAgain(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
	offline(p, true)
	p.press("Pay €45.00")
	p.shows(".panel", "Trying again by itself")
	offline(p, false)
	p.shows(".panel h2", "Order accepted")
	if n := len(o.sent("POST /v1/holds/")); n != 1 {
		t.Errorf("%d checkouts arrived, want 1", n)
	}
}

func offline(p *tab, off bool) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: off, DownloadThroughput: -1, UploadThroughput: -1}}})
	if err != nil {
		p.t.Fatalf("taking the page off line: %v", err)
	}
}

func TestExpiredHoldIsToldAndItsTicketsCanBeChosenAgain(t *testing.T) {
	event := arena()
	event.HoldSeconds = 2
	o := newOffice(t, event)
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
	p.shows(".panel .notice", "Your time to pay is over")
	p.shows(left("floor"), "200")
	p.shoot("expired")
	p.press("One more for Floor")
	p.gone(".panel .notice")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
}

func TestCountdownFollowsTheServersClock(t *testing.T) {
	o := newOffice(t, arena())
	o.ahead = 47 * time.Minute
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.eventually("two minutes are left", "/^(2:00|1:5\\d)$/.test(document.querySelector('.clock')?.innerText)")
}

func TestClockIsNeverBehindATimeThatTheServerStated(t *testing.T) {
	p := openTab(t, newOffice(t, arena()).url, "/")
	// The first statement travelled slowly, the second fast, the third slowly again; the last isn't a time.
	behind := value[float64](p, `import('/assets/clock.js').then(({ observe, now, until }) => {
		const base = Date.now() + 3_600_000;
		for (const ms of [-5_000, 0, -2_000]) observe(new Date(base + ms).toISOString());
		observe('soon');
		return Math.abs(now() - base) + until(new Date(base - 1).toISOString());
	})`)
	if behind > 1000 {
		t.Errorf("the clock is %.0f ms off the greatest time it was told", behind)
	}
}

func TestRefusalsAreExplainedInHumanWords(t *testing.T) {
	one, none := int64(1), int64(0)
	cases := []struct {
		refusal *onsale.Error
		says    string
	}{
		{&onsale.Error{Code: onsale.CodeSoldOut, Detail: "x", Section: "floor", Available: &one}, "Only 1 left in Floor"},
		{&onsale.Error{Code: onsale.CodeSoldOut, Detail: "x", Section: "floor", Available: &none}, "Nothing is left in Floor"},
		{&onsale.Error{Code: onsale.CodeBuyerLimit, Detail: "x", Available: &one}, "You can have 1 ticket more"},
		{&onsale.Error{Code: onsale.CodeNotOnSale, Detail: "x"}, "The sale is not open right now"},
	}
	o := newOffice(t, arena())
	p := openEvent(t, o)
	for _, c := range cases {
		t.Run(string(c.refusal.Code), func(t *testing.T) {
			o.refuse(c.refusal)
			p.press("One more for Floor")
			p.gone(".panel .notice")
			p.press("Hold " + value[string](p, "document.querySelector('.panel h2').innerText.split(' chosen')[0]"))
			p.shows(".panel .notice", c.says)
		})
	}
}

func TestEveryRefusalHasWords(t *testing.T) {
	p := openTab(t, newOffice(t, arena()).url, "/")
	for code := range statuses {
		words := value[struct{ Title, Advice string }](p, `import('/assets/words.js').then(({ explain }) =>
			explain({ code: `+quoted(string(code))+`, section: '', seats: [], available: null }, (id) => id))`)
		if words.Title == "" || words.Advice == "" || strings.Contains(words.Title, "went wrong") != (code == onsale.CodeBadRequest) {
			t.Errorf("%s is told as %+v", code, words)
		}
	}
}

func TestAnswersThatComeFromNoOfficeAreExplained(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	code := value[string](p, `import('/assets/http.js').then(({ exchange }) =>
		exchange('GET', '/no/such/page', { patienceMs: 0 }).catch((problem) => problem.code + ' ' + problem.status))`)
	if want := "internal 404"; code != want {
		t.Errorf("an answer of %d without a problem is %q, want %q", http.StatusNotFound, code, want)
	}
}
