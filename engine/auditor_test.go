package engine

import (
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/internal/kafka"
)

func TestAPurchaseThatWasGivenUpIsALostOrderKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	bought := h.buy(buyer, h.mustHold(buyer, `{"section":"floor","quantity":1}`), "tok_ok")

	undated, uncharged := onsale.NewHoldID("concert", 1).Order(), onsale.NewHoldID("concert", 1).Order()
	elsewhere := onsale.NewHoldID("gala", 1).Order()
	check(t, h.producer.Produce(t.Context(),
		kafka.Message{Topic: onsale.TopicPurchases, Key: "concert", Value: onsale.Purchase{Order: undated, Hold: undated.Hold(), Event: "concert"}},
		kafka.Message{Topic: onsale.TopicPurchases, Key: "concert", Value: "not a purchase"},
		kafka.Message{Topic: onsale.TopicPurchases, Key: "gala", Value: onsale.Purchase{Order: elsewhere, Hold: elsewhere.Hold(), Event: "gala"}},
		kafka.Message{Topic: onsale.TopicCharges, Key: string(uncharged), Value: onsale.Charge{Order: uncharged, Event: "concert"}},
		// An answer too late, to an order that has its end: given up, and nobody's loss.
		kafka.Message{Topic: onsale.TopicResults, Key: string(bought.ID), Value: onsale.ChargeResult{
			Order: bought.ID, Event: "concert", Outcome: onsale.ChargeDeclined, Reason: "late", At: time.Now()}},
	))

	var report onsale.AuditReport
	h.want(200, h.operator("GET", "/v1/admin/events/concert/audit?wait=30", ""), &report)
	if report.LostOrders != 3 || len(report.Violations) != 3 {
		t.Errorf("%d lost orders, want 3: %v", report.LostOrders, report.Err())
	}
	for subject, reason := range map[string]string{
		"order " + string(undated):       "it does not say when it was accepted",
		"topic " + onsale.TopicPurchases: "cannot unmarshal string",
		"order " + string(uncharged):     "lacks an amount, a currency or a payment token",
	} {
		found := false
		for _, v := range report.Violations {
			found = found || v.Invariant == onsale.InvariantOrders && v.Subject == subject && strings.Contains(strings.Join(v.History, "\n"), reason)
		}
		if !found {
			t.Errorf("no violation by %s whose history says %q in %v", subject, reason, report.Err())
		}
	}
}
