package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"onsale"
	"onsale/checkout/payment"
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
