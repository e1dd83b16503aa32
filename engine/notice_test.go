package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/getkin/kin-openapi/openapi3"

	"onsale"
	"onsale/checkout/payment"
	"onsale/checkout/payment/stripe"
)

func TestOpenAPISaysWhatANoticeOfTheProviderMustHave(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	contract, err := openapi3.NewLoader().LoadFromData(openAPI)
	check(t, err)
	schema := contract.Components.Schemas["PaymentWebhook"].Value
	order := string(onsale.NewHoldID("concert", 1).Order())
	captured := `{"id":"n1","order":"` + order + `","outcome":"captured","reference":"chg_1","amount":5000,"currency":"EUR"}`
	without := func(field string) string { return strings.Replace(captured, field, "", 1) }
	for name, c := range map[string]struct {
		notice string
		ok     bool
	}{
		"captured":                     {captured, true},
		"captured, for nothing":        {strings.Replace(captured, "5000", "0", 1), true},
		"captured, no amount":          {without(`"amount":5000,`), false},
		"captured, an amount below 0":  {strings.Replace(captured, "5000", "-1", 1), false},
		"captured, no currency":        {without(`,"currency":"EUR"`), false},
		"captured, no reference":       {without(`"reference":"chg_1",`), false},
		"declined, and no more":        {`{"id":"n1","order":"` + order + `","outcome":"declined"}`, true},
		"declined, with all there is":  {strings.Replace(captured, "captured", "declined", 1), true},
		"a refund has failed":          {`{"id":"n1","order":"` + order + `","refund":"` + string(onsale.NewRefundID()) + `"}`, true},
		"a refund that is none":        {`{"id":"n1","order":"` + order + `","refund":"ref_1"}`, false},
		"a refund, and an outcome":     {strings.Replace(captured, `"order"`, `"refund":"`+string(onsale.NewRefundID())+`","order"`, 1), false},
		"neither":                      {`{"id":"n1","order":"` + order + `"}`, false},
		"an outcome that is not known": {strings.Replace(captured, "captured", "pending", 1), false},
	} {
		var value any
		check(t, json.Unmarshal([]byte(c.notice), &value))
		if err := schema.VisitJSON(value); (err == nil) != c.ok {
			t.Errorf("%s: openapi.yaml says %v", name, err)
		}
		signature := payment.SignWebhook([]byte(testWebhookSecret), []byte(c.notice), time.Now())
		a := h.do("POST", "/v1/webhooks/payments", "", c.notice, payment.SignatureHeader, signature)
		if c.ok {
			h.want(204, a, nil)
		} else {
			h.refused(400, onsale.CodeBadRequest, a)
		}
	}
}

func TestStripesNoticeIsTakenInItsOwnWordsOnceAndInAnyOrderKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"floor","quantity":1}`), "tok_ok")
	result, _, err := h.shop.Auditor.Provider.LookUp(t.Context(), onsale.Charge{Order: order.ID})
	check(t, err)
	shop := &Shop{Sessions: h.shop.Sessions, Auditor: h.shop.Auditor, Catalog: h.shop.Catalog, Store: h.shop.Store, Desk: h.shop.Desk, Till: h.shop.Till,
		Notices: stripe.NewNotices([]byte(testWebhookSecret), "inst1")}
	h.server = NewServer(Config{Listen: "127.0.0.1:0", Sessions: shop.Sessions, Shop: shop, Metrics: metrics.NewSet(), Log: slog.New(slog.DiscardHandler)})
	h.start(h.server)

	event := func(kind, status string) string {
		return fmt.Sprintf(`{"id":"evt_1","type":%q,"data":{"object":{"id":%q,"status":%q,"amount":%d,"amount_received":%d,"currency":"eur",`+
			`"metadata":{"onsale":"inst1","onsale_order":%q,"onsale_event":"concert"}}},"padding":%q}`,
			kind, result.Reference, status, order.Amount, order.Amount, order.ID, strings.Repeat("x", 40_000))
	}
	for _, body := range []string{
		event("payment_intent.succeeded", "succeeded"), event("payment_intent.succeeded", "succeeded"),
		event("payment_intent.processing", "processing"), event("payment_intent.canceled", "processing"), event("charge.refunded", ""),
	} {
		signature := payment.SignWebhook([]byte(testWebhookSecret), []byte(body), time.Now())
		h.want(204, h.do("POST", noticesPath, "", body, stripe.SignatureHeader, signature), nil)
		// Signed under the other provider's header it is not signed.
		h.refused(401, onsale.CodeUnauthenticated, h.do("POST", noticesPath, "", body, payment.SignatureHeader, signature))
	}
	var now onsale.Order
	h.want(200, h.do("GET", "/v1/orders/"+string(order.ID), buyer, ""), &now)
	if now.State != onsale.OrderTicketed {
		t.Errorf("the order is %s", now.State)
	}
	if report, err := h.shop.Auditor.Audit(t.Context(), "concert", 10*time.Second); err != nil || report.Err() != nil || report.DoubleCharges != 0 {
		t.Errorf("%v, %+v", err, report)
	}
}
