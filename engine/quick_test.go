package engine

import (
	"bufio"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"onsale"
)

// twice asks the same in two forms: the strict one, which is answered on the loop, and one that is
// left to createHold and checkout. Both answers must be alike, but for what is different in same.
func (h *house) twice(t *testing.T, path, token, key, body string) (quick answer) {
	t.Helper()
	before := h.quickAnswers()
	headers := []string{}
	if key != "" {
		headers = append(headers, "Idempotency-Key", key)
	}
	client().CloseIdleConnections() // where fasthttp has just answered, it may take the next request too
	quick = h.do("POST", path, token, body, headers...)
	if n := h.quickAnswers() - before; n != 1 {
		t.Errorf("POST %s %s: %d quick answers, want 1", path, body, n)
	}
	slow := h.do("POST", path, token, body, append(headers, "TE", "trailers")...)
	if n := h.quickAnswers() - before; n != 1 {
		t.Errorf("POST %s %s: the slow answer was a quick one", path, body)
	}
	slow.header.Del("Date") // fasthttp adds it to refusals
	if quick.status != slow.status || string(quick.body) != string(slow.body) || !maps.EqualFunc(quick.header, slow.header, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("POST %s %s is answered in two ways:\n%d %v %s\n%d %v %s", path, body, quick.status, quick.header, quick.body, slow.status, slow.header, slow.body)
	}
	return quick
}

func (h *house) quickAnswers() uint64 { return h.server.quicks.Get() }

func TestQuickAnswersAreThoseOfTheHandlers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const holds = "/v1/events/concert/holds"
	ask := func(text string) string { return `{"lines":[` + text + `]}` }
	first, second := h.signIn(), h.signIn()
	hold := onsale.Hold{}
	h.want(201, h.twice(t, holds, first, "k1", ask(`{"section":"floor","quantity":2}`)), &hold)
	h.want(201, h.twice(t, holds, first, "k2", ask(`{"section":"stand","seats":["A-1"]}`)), nil)
	for _, refused := range []struct {
		status           int
		code             onsale.Code
		path, token, key string
		body             string
	}{
		{401, onsale.CodeUnauthenticated, holds, "", "", ask(`{"section":"floor","quantity":1}`)},
		{401, onsale.CodeUnauthenticated, holds, "forged", "", ask(`{"section":"floor","quantity":1}`)},
		{422, onsale.CodeKeyReused, holds, first, "k1", ask(`{"section":"floor","quantity":1}`)},
		{409, onsale.CodeBuyerLimit, holds, first, "", ask(`{"section":"floor","quantity":2}`)},
		{409, onsale.CodeSeatTaken, holds, second, "", ask(`{"section":"stand","seats":["A-1"]}`)},
		{401, onsale.CodeUnauthenticated, "/v1/holds/" + string(hold.ID) + "/checkout", "", "", `{"payment_token":"tok_ok"}`},
		{404, onsale.CodeUnknownHold, "/v1/holds/" + string(hold.ID) + "/checkout", second, "", `{"payment_token":"tok_ok"}`},
		{400, onsale.CodeBadRequest, "/v1/holds/" + string(hold.ID) + "/checkout", first, "", `{"payment_token":""}`},
		{400, onsale.CodeBadRequest, "/v1/holds/" + string(hold.ID) + "/checkout", first, "", `{"payment_token":"` + strings.Repeat("x", 256) + `"}`},
	} {
		h.refused(refused.status, refused.code, h.twice(t, refused.path, refused.token, refused.key, refused.body))
	}
	var order onsale.Order
	a := h.want(202, h.do("POST", "/v1/holds/"+string(hold.ID)+"/checkout", first, `{"payment_token":"tok_ok"}`), &order)
	if order.ID != hold.ID.Order() || a.header.Get("Location") != "/v1/orders/"+string(order.ID) {
		t.Errorf("accepted %s at %s", order.ID, a.header.Get("Location"))
	}
	h.eventually("the order is ticketed", func() bool {
		h.want(200, h.do("GET", a.header.Get("Location"), first, ""), &order)
		return order.State == onsale.OrderTicketed
	})
	h.want(202, h.twice(t, "/v1/holds/"+string(hold.ID)+"/checkout", first, "", `{"payment_token":"tok_ok"}`), nil)
	h.want(200, h.operator("POST", "/v1/admin/events/concert/close", ""), nil)
	h.refused(409, onsale.CodeNotOnSale, h.twice(t, holds, second, "", ask(`{"section":"floor","quantity":1}`)))
	h.audit()
}

func TestWhatIsNotPlainIsTheHandlers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.signIn()
	before := h.quickAnswers()
	for path, bodies := range map[string][]string{
		"/v1/events/nothing/holds":      {`{"lines":[{"section":"floor","quantity":1}]}`},
		"/v1/events/concert/holds":      {``, `{`, `{"lines":[]}`, `{"lines":[{"section":"nowhere","quantity":1}]}`, `{"lines":[{"section":"floor","quantity":0}]}`, `[]`},
		"/v1/holds/nothing/checkout":    {`{"payment_token":"tok_ok"}`},
		"/v1/events/concert/holds/more": {`{}`},
	} {
		for _, body := range bodies {
			if a := h.do("POST", path, token, body); a.status < 400 || a.status >= 500 {
				t.Errorf("POST %s %s: %d %s", path, body, a.status, a.body)
			}
		}
	}
	if n := h.quickAnswers() - before; n != 0 {
		t.Errorf("%d quick answers", n)
	}
}

func TestQuickRequestsAreCountedLikeOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.twice(t, "/v1/events/concert/holds", h.signIn(), "k", `{"lines":[{"section":"floor","quantity":1}]}`)
	h.eventually("both are counted", func() bool {
		return h.server.cfg.Metrics.GetOrCreateCounter(`onsale_http_requests_total{route="POST /v1/events/{event}/holds",code="ok"}`).Get() == 2
	})
}

func TestAQuickAnswerThatPanicsIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	event := &onsale.Event{ID: "concert", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), Epoch: 1,
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Capacity: 1, Price: 5000}}}
	check(t, event.Complete())
	catalog, sessions := NewCatalog(nil, nil, slog.New(slog.DiscardHandler)), NewSessions([]byte(testSecret))
	catalog.layouts["concert"] = onsale.NewLayout(event)
	e := newEdge(t, Config{Sessions: sessions, Shop: &Shop{Sessions: sessions, Catalog: catalog}}).start(t) // without a desk or a till
	token, _, err := sessions.Issue(onsale.NewBuyerID(), time.Now())
	check(t, err)
	c := e.say(t, "")
	check(t, c.SetDeadline(time.Now().Add(eventualTime)))
	answers := bufio.NewReader(c)
	ask := func(path, token, body string, want int) {
		t.Helper()
		must(fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", path, token, len(body), body))
		response, err := http.ReadResponse(answers, nil)
		check(t, err)
		if text := must(readAll(response)); response.StatusCode != want {
			t.Fatalf("POST %s: %d %s, want %d", path, response.StatusCode, text, want)
		}
	}
	const holds, times = "/v1/events/concert/holds", 20
	checkout := "/v1/holds/" + string(onsale.NewHoldID("concert", 1)) + "/checkout"
	for range times { // an answer too many would be taken for the next one's
		ask(holds, token, `{"lines":[{"section":"floor","quantity":1}]}`, 500)
		ask(holds, "forged", `{"lines":[{"section":"floor","quantity":1}]}`, 401)
		ask(checkout, token, `{"payment_token":"tok_ok"}`, 500)
		ask(checkout, "forged", `{"payment_token":"tok_ok"}`, 401)
	}
	if quick, panics := e.quicks.Get(), e.panics.Get(); quick != 4*times || panics != 2*times {
		t.Errorf("%d quick answers, %d panics", quick, panics)
	}
	if text := e.log.String(); !strings.Contains(text, "panicked") {
		t.Errorf("it is not logged:\n%s", text)
	}
}

// TestAnswersSayNothingOfTheServer keeps the two kinds of answers' heads alike.
func TestAnswersSayNothingOfTheServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := must(net.Dial("tcp", strings.TrimPrefix(h.server.URL(), "http://")))
	defer c.Close()
	body := `{"lines":[{"section":"floor","quantity":1}]}`
	must(fmt.Fprintf(c, "POST /v1/events/concert/holds HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	head := make([]byte, 4096)
	n := must(c.Read(head))
	if regexp.MustCompile(`(?i)\r\n(server|date|x-[a-z-]+):`).Match(head[:n]) {
		t.Errorf("it says %q", head[:n])
	}
}
