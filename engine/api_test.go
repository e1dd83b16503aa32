package engine

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"onsale"
	"onsale/checkout/payment"
)

func TestOpenAPIDescribesExactlyTheRoutes(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	check(t, err)
	check(t, doc.Validate(t.Context()))
	var described, served []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, r := range (&Shop{}).routes() {
		served = append(served, r.method+" "+r.path)
	}
	served = append(served, "GET /v1/events/{event}/live")
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("openapi.yaml describes\n  %s\nthe routes are\n  %s", strings.Join(described, "\n  "), strings.Join(served, "\n  "))
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	for code, status := range statusOf {
		if http.StatusText(status) == "" {
			t.Errorf("%s has status %d", code, status)
		}
	}
	if len(statusOf) < 26 {
		t.Errorf("%d codes have a status", len(statusOf))
	}
}

func TestAPurchaseEndsInSignedTicketsKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	hold := h.mustHold(buyer, `{"section":"stand","seats":["A-1","A-2"]},{"section":"floor","quantity":2}`)
	order := h.buy(buyer, hold, "tok_ok")
	if order.State != onsale.OrderTicketed || order.Amount != 2*8000+2*5000 {
		t.Fatalf("order %+v", order)
	}
	var page struct{ Tickets []onsale.Ticket }
	h.want(200, h.do("GET", "/v1/orders/"+string(order.ID)+"/tickets", buyer, ""), &page)
	key, _ := onsale.TicketKey([]byte(testSecret)).Public().(ed25519.PublicKey)
	seats := []string{}
	for _, ticket := range page.Tickets {
		seats = append(seats, ticket.Seat)
		if read, ok := onsale.VerifyCode(key, ticket.Code); !ok || read.ID != ticket.ID || read.Seat != ticket.Seat {
			t.Errorf("ticket %+v reads %+v, %v", ticket, read, ok)
		}
	}
	slices.Sort(seats)
	if !slices.Equal(seats, []string{"", "", "A-1", "A-2"}) {
		t.Errorf("seats %v", seats)
	}
	var orders struct{ Orders []onsale.Order }
	h.want(200, h.do("GET", "/v1/orders?limit=1", buyer, ""), &orders)
	if len(orders.Orders) != 1 || orders.Orders[0].ID != order.ID {
		t.Errorf("orders %+v", orders)
	}
	h.audit()
	if c := h.counts("stand"); c != (onsale.Counts{Available: 8, Sold: 2}) {
		t.Errorf("stand %+v", c)
	}
}

func TestADeclinedPaymentGivesTheSeatsBackKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"stand","seats":["A-1"]}`), "tok_decline")
	if order.State != onsale.OrderDeclined || order.Reason == "" {
		t.Errorf("order %+v", order)
	}
	h.eventually("the seat is back", func() bool { return h.counts("stand") == onsale.Counts{Available: 10} })
	h.mustHold(h.signIn(), `{"section":"stand","seats":["A-1"]}`)
	h.audit()
}

func TestAMisbehavingProviderChargesEachOrderOnceKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens := []string{"tok_broken", "tok_error", "tok_timeout", "tok_twice", "tok_delay_50"}
	var wg sync.WaitGroup
	for i, token := range tokens {
		wg.Go(func() {
			buyer := h.signIn()
			order := h.buy(buyer, h.mustHold(buyer, fmt.Sprintf(`{"section":"stand","seats":["B-%d"]}`, i+1)), token)
			if order.State != onsale.OrderTicketed {
				t.Errorf("%s: %+v", token, order)
			}
		})
	}
	wg.Wait()
	if report := h.audit(); report.Orders[onsale.OrderTicketed] != int64(len(tokens)) || report.DoubleCharges != 0 {
		t.Errorf("report %+v", report)
	}
}

func TestACheckoutRepeatedIsTheSameOrderKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	hold := h.mustHold(buyer, `{"section":"floor","quantity":1}`)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if order := h.buy(buyer, hold, "tok_ok"); order.ID != hold.ID.Order() || order.State != onsale.OrderTicketed {
				t.Errorf("order %+v", order)
			}
		})
	}
	wg.Wait()
	if report := h.audit(); report.Orders[onsale.OrderTicketed] != 1 {
		t.Errorf("report %+v", report)
	}
	h.refused(410, onsale.CodeHoldEnded, h.do("DELETE", "/v1/holds/"+string(hold.ID), buyer, ""))
}

func TestTheSameIdempotencyKeyIsTheSameHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	const line = `{"section":"floor","quantity":2}`
	var first, again onsale.Hold
	h.want(201, h.hold(buyer, line, "Idempotency-Key", "k1"), &first)
	h.want(201, h.hold(buyer, line, "Idempotency-Key", "k1"), &again)
	if first.ID != again.ID || h.counts("floor").Held != 2 {
		t.Errorf("%s and %s, %+v", first.ID, again.ID, h.counts("floor"))
	}
	h.refused(422, onsale.CodeKeyReused, h.hold(buyer, `{"section":"floor","quantity":1}`, "Idempotency-Key", "k1"))
	h.refused(400, onsale.CodeBadRequest, h.hold(buyer, line, "Idempotency-Key", strings.Repeat("k", onsale.MaxKeyLength+1)))
}

func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer, other := h.signIn(), h.signIn()
	held := h.mustHold(other, `{"section":"stand","seats":["A-1"]}`)
	before := [2]onsale.Counts{h.counts("floor"), h.counts("stand")}
	expired, _, err := h.shop.Sessions.Issue(onsale.NewBuyerID(), time.Now().Add(-2*onsale.SessionTime))
	check(t, err)
	forged, _, err := NewSessions([]byte("another secret of thirty-two bytes!!")).Issue(onsale.NewBuyerID(), time.Now())
	check(t, err)
	floor := func(quantity string) string { return `{"lines":[{"section":"floor","quantity":` + quantity + `}]}` }
	const holds = "/v1/events/concert/holds"
	otherHold := "/v1/holds/" + string(held.ID)
	tests := []struct {
		promise            string
		method, path, body string
		token              string
		status             int
		code               onsale.Code
	}{
		{"unknown event", "POST", "/v1/events/nothing/holds", floor("1"), buyer, 404, onsale.CodeUnknownEvent},
		{"unknown event to look at", "GET", "/v1/events/nothing", "", "", 404, onsale.CodeUnknownEvent},
		{"unknown event's availability", "GET", "/v1/events/nothing/availability", "", "", 404, onsale.CodeUnknownEvent},
		{"a feed that is no WebSocket", "GET", "/v1/events/concert/live", "", "", 400, onsale.CodeBadRequest},
		{"unknown section", "POST", holds, `{"lines":[{"section":"balcony","quantity":1}]}`, buyer, 404, onsale.CodeUnknownSection},
		{"unknown seat", "POST", holds, `{"lines":[{"section":"stand","seats":["C-1"]}]}`, buyer, 404, onsale.CodeUnknownSeat},
		{"seat beyond the row", "POST", holds, `{"lines":[{"section":"stand","seats":["A-6"]}]}`, buyer, 404, onsale.CodeUnknownSeat},
		{"seat zero", "POST", holds, `{"lines":[{"section":"stand","seats":["A-0"]}]}`, buyer, 404, onsale.CodeUnknownSeat},
		{"seat with a leading zero", "POST", holds, `{"lines":[{"section":"stand","seats":["A-01"]}]}`, buyer, 404, onsale.CodeUnknownSeat},
		{"seat named twice", "POST", holds, `{"lines":[{"section":"stand","seats":["A-2","A-2"]}]}`, buyer, 400, onsale.CodeBadRequest},
		{"section named twice", "POST", holds, `{"lines":[{"section":"floor","quantity":1},{"section":"floor","quantity":1}]}`, buyer, 400, onsale.CodeBadRequest},
		{"quantity and seats that differ", "POST", holds, `{"lines":[{"section":"stand","quantity":2,"seats":["A-2"]}]}`, buyer, 400, onsale.CodeBadQuantity},
		{"quantity 0", "POST", holds, floor("0"), buyer, 400, onsale.CodeBadQuantity},
		{"quantity negative", "POST", holds, floor("-1"), buyer, 400, onsale.CodeBadQuantity},
		{"quantity above the limit", "POST", holds, floor("5"), buyer, 400, onsale.CodeBadQuantity},
		{"quantity above the limit in all", "POST", holds, `{"lines":[{"section":"floor","quantity":3},{"section":"stand","seats":["A-2","A-3"]}]}`, buyer, 400, onsale.CodeBadQuantity},
		{"quantity no int holds", "POST", holds, floor("99999999999999999999"), buyer, 400, onsale.CodeBadRequest},
		{"quantity a fraction", "POST", holds, floor("1.5"), buyer, 400, onsale.CodeBadRequest},
		{"no lines", "POST", holds, `{"lines":[]}`, buyer, 400, onsale.CodeBadQuantity},
		{"not JSON", "POST", holds, `{"lines":`, buyer, 400, onsale.CodeBadRequest},
		{"empty body", "POST", holds, ``, buyer, 400, onsale.CodeBadRequest},
		{"two objects", "POST", holds, floor("1") + floor("1"), buyer, 400, onsale.CodeBadRequest},
		{"unknown field", "POST", holds, `{"lines":[{"section":"floor","quantity":1}],"vip":true}`, buyer, 400, onsale.CodeBadRequest},
		{"a body too large", "POST", holds, floor("1") + strings.Repeat(" ", onsale.MaxBodyBytes), buyer, 413, onsale.CodeTooLarge},
		{"no token", "POST", holds, floor("1"), "", 401, onsale.CodeUnauthenticated},
		{"malformed token", "POST", holds, floor("1"), "x.y.z", 401, onsale.CodeUnauthenticated},
		{"expired token", "POST", holds, floor("1"), expired, 401, onsale.CodeUnauthenticated},
		{"forged token", "POST", holds, floor("1"), forged, 401, onsale.CodeUnauthenticated},
		{"someone else's hold to see", "GET", otherHold, "", buyer, 404, onsale.CodeUnknownHold},
		{"someone else's hold to release", "DELETE", otherHold, "", buyer, 404, onsale.CodeUnknownHold},
		{"someone else's hold to buy", "POST", otherHold + "/checkout", `{"payment_token":"tok_ok"}`, buyer, 404, onsale.CodeUnknownHold},
		{"a hold that is none", "GET", "/v1/holds/nothing", "", buyer, 404, onsale.CodeUnknownHold},
		{"a hold of no event", "GET", "/v1/holds/hld_nothing_1_00000000000000000000000000", "", buyer, 404, onsale.CodeUnknownHold},
		{"no payment token", "POST", otherHold + "/checkout", `{}`, other, 400, onsale.CodeBadRequest},
		{"a payment token too long", "POST", otherHold + "/checkout", `{"payment_token":"` + strings.Repeat("x", 256) + `"}`, other, 400, onsale.CodeBadRequest},
		{"an order that is none", "GET", "/v1/orders/nothing", "", buyer, 404, onsale.CodeUnknownOrder},
		{"an order of a hold that is not bought", "GET", "/v1/orders/" + string(held.ID.Order()), "", other, 404, onsale.CodeUnknownOrder},
		{"someone else's tickets", "GET", "/v1/orders/" + string(held.ID.Order()) + "/tickets", "", buyer, 404, onsale.CodeUnknownOrder},
		{"a page of 0", "GET", "/v1/orders?limit=0", "", buyer, 400, onsale.CodeBadRequest},
		{"a cursor of nonsense", "GET", "/v1/orders?cursor=nonsense", "", buyer, 400, onsale.CodeBadRequest},
		{"no such route", "GET", "/v1/nothing", "", buyer, 404, onsale.CodeNotFound},
		{"no such page", "GET", "/nothing", "", "", 404, onsale.CodeNotFound},
		{"wrong method", "PUT", "/v1/events", "", "", 405, onsale.CodeMethodNotAllowed},
		{"an operator's route without a token", "POST", "/v1/admin/events/concert/close", "", "", 401, onsale.CodeUnauthenticated},
		{"an operator's route with a buyer's token", "POST", "/v1/admin/events/concert/close", "", buyer, 403, onsale.CodeForbidden},
		{"another event under the same id", "POST", "/v1/admin/events", strings.Replace(eventFile, "10", "11", 1), testAdminToken, 409, onsale.CodeEventExists},
		{"an event that can't be sold", "POST", "/v1/admin/events", strings.Replace(eventFile, "EUR", "euro", 1), testAdminToken, 422, onsale.CodeBadEvent},
		{"an event that is no YAML", "POST", "/v1/admin/events", "{", testAdminToken, 422, onsale.CodeBadEvent},
		{"a misspelt setting of an event", "POST", "/v1/admin/events", eventFile + "colour: red\n", testAdminToken, 422, onsale.CodeBadEvent},
		{"an unknown event to open", "POST", "/v1/admin/events/nothing/open", "", testAdminToken, 404, onsale.CodeUnknownEvent},
		{"an audit that waits for ever", "GET", "/v1/admin/events/concert/audit?wait=99999", "", testAdminToken, 400, onsale.CodeBadRequest},
		{"an unsigned notice of the provider", "POST", "/v1/webhooks/payments", `{"id":"1","order":"o","outcome":"captured"}`, "", 401, onsale.CodeUnauthenticated},
	}
	for _, test := range tests {
		a := h.do(test.method, test.path, test.token, test.body)
		if got := a.problem(t); a.status != test.status || got.Code != test.code || got.Detail == "" {
			t.Errorf("%s: answered %d %s, want %d %s: %s", test.promise, a.status, got.Code, test.status, test.code, a.body)
		}
	}
	if after := [2]onsale.Counts{h.counts("floor"), h.counts("stand")}; after != before {
		t.Errorf("counts were %+v and are %+v", before, after)
	}
	h.audit()
}

func TestSoldOutSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 2 {
		h.mustHold(h.signIn(), `{"section":"floor","quantity":4}`)
	}
	a := h.refused(409, onsale.CodeSoldOut, h.hold(h.signIn(), `{"section":"floor","quantity":3}`))
	if left := a.problem(t).Available; left == nil || *left != 2 {
		t.Errorf("left: %s", a.body)
	}
	h.mustHold(h.signIn(), `{"section":"stand","seats":["A-3"]}`)
	a = h.refused(409, onsale.CodeSeatTaken, h.hold(h.signIn(), `{"section":"stand","seats":["A-2","A-3"]}`))
	if seats := a.problem(t).Seats; !slices.Equal(seats, []string{"A-3"}) {
		t.Errorf("taken: %s", a.body)
	}
}

func TestAPausedSaleSellsOnlyWhatIsHeldKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	hold := h.mustHold(buyer, `{"section":"floor","quantity":1}`)
	h.want(200, h.operator("POST", "/v1/admin/events/concert/pause", ""), nil)
	h.refused(409, onsale.CodeNotOnSale, h.hold(buyer, `{"section":"floor","quantity":1}`))
	if order := h.buy(buyer, hold, "tok_ok"); order.State != onsale.OrderTicketed {
		t.Errorf("order %+v", order)
	}
	h.want(200, h.operator("POST", "/v1/admin/events/concert/open", ""), nil)
	h.mustHold(buyer, `{"section":"floor","quantity":1}`)
	h.want(200, h.operator("POST", "/v1/admin/events/concert/close", ""), nil)
	h.refused(409, onsale.CodeBadTransition, h.operator("POST", "/v1/admin/events/concert/open", ""))
	h.audit()
}

func TestAnExpiredHoldIsGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	file := strings.NewReplacer("concert", "short", "max_per_buyer", "hold_seconds: 1\nmax_per_buyer").Replace(eventFile)
	h.want(201, h.operator("POST", "/v1/admin/events", file), nil)
	h.want(200, h.operator("POST", "/v1/admin/events/short/open", ""), nil)
	buyer := h.signIn()
	var hold onsale.Hold
	h.want(201, h.do("POST", "/v1/events/short/holds", buyer, `{"lines":[{"section":"floor","quantity":1}]}`), &hold)
	path := "/v1/holds/" + string(hold.ID)
	h.eventually("the hold expires", func() bool {
		var now onsale.Hold
		h.want(200, h.do("GET", path, buyer, ""), &now)
		return now.State == onsale.HoldExpired
	})
	h.refused(410, onsale.CodeHoldEnded, h.do("POST", path+"/checkout", buyer, `{"payment_token":"tok_ok"}`))
	h.refused(410, onsale.CodeHoldEnded, h.do("DELETE", path, buyer, ""))
}

func TestAProvidersNoticeIsTakenOnceHoweverOftenItComesKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"floor","quantity":1}`), "tok_ok")
	result, found, err := h.shop.Auditor.Provider.LookUp(t.Context(), onsale.Charge{Order: order.ID})
	if err != nil || !found {
		t.Fatalf("%v, %v", found, err)
	}
	notice := fmt.Sprintf(`{"id":"n1","order":%q,"outcome":"captured","reference":%q,"amount":%d,"currency":%q,"at":"2030-01-01T00:00:00Z"}`,
		order.ID, result.Reference, order.Amount, order.Currency)
	for range 3 {
		signature := payment.SignWebhook([]byte(testWebhookSecret), []byte(notice), time.Now())
		h.want(204, h.do("POST", "/v1/webhooks/payments", "", notice, payment.SignatureHeader, signature), nil)
	}
	if report := h.audit(); report.Orders[onsale.OrderTicketed] != 1 || report.DoubleCharges != 0 {
		t.Errorf("report %+v", report)
	}
}

func TestLostStockIsLaidAnewFromWhatWasBoughtKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"stand","seats":["A-1"]}`), "tok_ok")
	lost := h.mustHold(buyer, `{"section":"floor","quantity":1}`)
	epoch := h.event().Epoch
	h.loseStock()
	h.eventually("the stock is back", func() bool {
		return h.event().Epoch > epoch && h.event().Sale == onsale.SaleOpen
	})
	if c := h.counts("stand"); c != (onsale.Counts{Available: 9, Sold: 1}) {
		t.Errorf("stand %+v after order %s", c, order.ID)
	}
	h.refused(410, onsale.CodeHoldEnded, h.do("POST", "/v1/holds/"+string(lost.ID)+"/checkout", buyer, `{"payment_token":"tok_ok"}`))
	h.mustHold(buyer, `{"section":"floor","quantity":1}`)
	h.audit()
}

func TestHealthAndDescriptionAreServed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for path, part := range map[string]string{
		"/livez": "ok", "/readyz": "ok", "/openapi.yaml": "openapi: 3.1.0", "/": "<!doctype html>",
		"/metrics": `onsale_http_requests_total{route="POST /v1/admin/events",code="ok"} 1`,
	} {
		response, err := client().Get(h.server.URL() + path)
		check(t, err)
		body := must(readAll(response))
		if response.StatusCode != 200 || !strings.Contains(strings.ToLower(body), strings.ToLower(part)) {
			t.Errorf("%s: %d, no %q in %.300s", path, response.StatusCode, part, body)
		}
	}
}
