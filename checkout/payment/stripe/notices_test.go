package stripe

import (
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

func sign(secret string, body []byte, at time.Time) string {
	return payment.SignWebhook([]byte(secret), body, at) // the scheme is Stripe's
}

func TestNoticesOfAnyOrderSayTheirOwnEndOrNothing(t *testing.T) {
	f := newFake(t)
	p := newProvider(t, f.server.URL)
	c := newCharge("pm_card_visa")
	paid, err := p.Charge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := p.Charge(t.Context(), newCharge("pm_declined"))
	if err != nil {
		t.Fatal(err)
	}
	voided, err := p.Void(t.Context(), newCharge("pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	back := onsale.Refund{ID: onsale.NewRefundID(), Order: c.Order, Reference: paid.Reference, Amount: 100, Currency: "EUR"}
	if _, err := p.Refund(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	n := NewNotices([]byte("whsec_1"), installation)
	refund := func(status string) string { return strings.ReplaceAll(text(f.refunds[0]), "succeeded", status) }
	object := func(reference string) string { return text(f.intents[reference].fields) }
	for name, c := range map[string]struct {
		kind, object string
		want         *onsale.ChargeResult
		refund       onsale.RefundID
	}{
		"succeeded":                 {"payment_intent.succeeded", object(paid.Reference), &paid, ""},
		"failed":                    {"payment_intent.payment_failed", object(refused.Reference), &refused, ""},
		"canceled":                  {"payment_intent.canceled", object(voided.Reference), &voided, ""},
		"processing, however late":  {"payment_intent.processing", object(paid.Reference), nil, ""},
		"refunded":                  {"charge.refunded", `{"id":"ch_1"}`, nil, ""},
		"refund failed":             {"refund.failed", refund("failed"), nil, back.ID},
		"refund failed, in update":  {"refund.updated", refund("failed"), nil, back.ID},
		"refund failed, before":     {"charge.refund.updated", refund("failed"), nil, back.ID},
		"refund canceled":           {"refund.updated", refund("canceled"), nil, back.ID},
		"refund made":               {"refund.created", refund("succeeded"), nil, ""},
		"refund wants its customer": {"refund.updated", refund("requires_action"), nil, ""},
		"refund of nobody's":        {"refund.failed", `{"id":"re_7","status":"failed","metadata":{}}`, nil, ""},
		"refund of somebody else's": {"refund.failed", strings.ReplaceAll(refund("failed"), installation, "inst2"), nil, ""},
		"created":                   {"payment_intent.created", object(paid.Reference), nil, ""},
		"somebody else's":           {"payment_intent.succeeded", `{"id":"pi_7","status":"succeeded","amount_received":5,"metadata":{}}`, nil, ""},
		"another installation's":    {"payment_intent.succeeded", strings.ReplaceAll(object(paid.Reference), installation, "inst2"), nil, ""},
		"of another event":          {"payment_intent.succeeded", strings.ReplaceAll(object(paid.Reference), `"gala"`, `"rodeo"`), nil, ""},
		"succeeded, and undecided?": {"payment_intent.succeeded", strings.ReplaceAll(object(paid.Reference), "succeeded", "processing"), nil, ""},
	} {
		body := []byte(`{"id":"evt_1","type":"` + c.kind + `","data":{"object":` + c.object + `}}`)
		for range 2 { // each may come twice
			notice, err := n.Read(sign("whsec_1", body, time.Now()), body, time.Now())
			got := notice.Charge
			if err != nil || notice.Refund != c.refund || (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
				t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
			}
		}
	}
}

func TestNoticeMustBeSignedByStripeJustNow(t *testing.T) {
	n, now, body := NewNotices([]byte("whsec_1"), installation), time.Now(), []byte(`{"id":"evt_1","type":"charge.refunded","data":{}}`)
	good, other := sign("whsec_1", body, now), sign("whsec_0", body, now)
	_, v1, _ := strings.Cut(other, ",")
	for name, c := range map[string]struct {
		header string
		ok     bool
	}{
		"as signed":                    {good, true},
		"with a v0":                    {good + ",v0=abc", true},
		"by the old secret and ours":   {good + "," + v1, true},
		"by the old secret alone":      {other, false},
		"more than five minutes ago":   {sign("whsec_1", body, now.Add(-6*time.Minute)), false},
		"more than five minutes hence": {sign("whsec_1", body, now.Add(6*time.Minute)), false},
		"not at all":                   {"", false},
	} {
		_, err := n.Read(c.header, body, now)
		if c.ok && err != nil || !c.ok && onsale.CodeOf(err) != onsale.CodeUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "{", "[]", `{"data":{}}`, `{"type":"payment_intent.succeeded","data":{"object":7}}`, `{"type":"refund.failed","data":{"object":7}}`} {
		if _, err := n.Read(sign("whsec_1", []byte(bad), now), []byte(bad), now); onsale.CodeOf(err) != onsale.CodeBadRequest {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
