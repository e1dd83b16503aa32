package engine

import (
	"testing"

	"onsale"
)

func TestAnOrdersHistoryIsTheOperatorsAloneKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.signIn()
	order := h.buy(token, h.mustHold(token, `{"section":"floor","quantity":1}`), "tok_ok")
	path := "/v1/admin/orders/" + string(order.ID) + "/history"
	var told struct{ Moves []onsale.OrderMove }
	h.want(200, h.operator("GET", path, ""), &told)
	var states []onsale.OrderState
	for _, m := range told.Moves {
		if m.Actor != onsale.ActorSettlement || m.At.IsZero() {
			t.Errorf("%+v", m)
		}
		states = append(states, m.To)
	}
	if len(states) != 3 || states[0] != onsale.OrderClaimed || states[2] != onsale.OrderTicketed {
		t.Errorf("moved to %q", states)
	}
	h.refused(401, onsale.CodeUnauthenticated, h.do("GET", path, "", ""))
	h.refused(403, onsale.CodeForbidden, h.do("GET", path, token, "")) // its own buyer isn't an operator
	h.refused(404, onsale.CodeUnknownOrder, h.operator("GET", "/v1/admin/orders/"+string(order.ID)+"x/history", ""))
}
