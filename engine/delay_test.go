package engine

import (
	"net/http"
	"strings"
	"testing"

	"onsale"
)

// misbehave has the payment simulator do as the JSON says from now on.
func (h *house) misbehave(behaviour string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPut, h.sim.URL()+"/v1/behaviour", strings.NewReader(behaviour))
	check(h.t, err)
	resp := must(client().Do(req))
	if text, err := readAll(resp); err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%d %s %v", resp.StatusCode, text, err)
	}
}

func TestWhileTheProviderFailsABuyerReadsThatThePaymentIsDelayedKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.signIn()
	bought := h.buy(first, h.mustHold(first, `{"section":"floor","quantity":1}`), "tok_any")
	h.misbehave(`{"error":1}`)
	type waiting struct{ token, path string }
	var orders []waiting
	for range 9 { // enough of them that their failures say something
		token := h.signIn()
		hold := h.mustHold(token, `{"section":"floor","quantity":1}`)
		a := h.want(202, h.do("POST", "/v1/holds/"+string(hold.ID)+"/checkout", token, `{"payment_token":"tok_any"}`), nil)
		orders = append(orders, waiting{token, a.header.Get("Location")})
	}
	for _, o := range orders {
		h.eventually("the payment is called delayed", func() bool {
			var order onsale.Order
			h.want(200, h.do("GET", o.path, o.token, ""), &order)
			if order.State.Final() {
				t.Fatalf("it has ended as %s, by a provider that fails", order.State)
			}
			return order.Payment == onsale.PaymentDelayed
		})
		h.refused(404, onsale.CodeUnknownOrder, h.do("GET", o.path, first, ""))
	}
	var list struct{ Orders []onsale.Order }
	h.want(200, h.do("GET", "/v1/orders", orders[0].token, ""), &list)
	if len(list.Orders) != 1 || list.Orders[0].Payment != onsale.PaymentDelayed {
		t.Errorf("listed as %+v", list.Orders)
	}
	var ended onsale.Order
	h.want(200, h.do("GET", "/v1/orders/"+string(bought.ID), first, ""), &ended)
	if ended.State != onsale.OrderTicketed || ended.Payment != "" {
		t.Errorf("what is paid is not delayed: %+v", ended)
	}
}
