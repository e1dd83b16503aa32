package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onsale"
	"onsale/checkout"
	"onsale/checkout/payment"
)

// forgetful is the house's payment provider, of whose answers about refunds every other one
// is lost.
type forgetful struct {
	payment.Provider
	asked atomic.Int64
}

// Refund implements payment.Provider.
func (p *forgetful) Refund(ctx context.Context, r onsale.Refund) (onsale.RefundResult, error) {
	result, err := p.Provider.Refund(ctx, r)
	if p.asked.Add(1)%2 == 1 {
		return onsale.RefundResult{}, fmt.Errorf("the answer to %s is lost", r.ID)
	}
	return result, err
}

// paysBack has the house's refunds made.
func (h *house) paysBack() {
	h.t.Helper()
	provider := &forgetful{Provider: h.shop.Auditor.Provider}
	h.start(checkout.NewRefunder(checkout.RefunderConfig{Book: h.shop.Store, Provider: provider, Desk: h.shop.Desk, Layouts: h.shop.Store.Layout,
		Producer: h.producer, Log: slog.New(slog.DiscardHandler)}))
}

func (h *house) refund(order onsale.OrderID, key, body string) answer {
	h.t.Helper()
	return h.do("POST", "/v1/admin/orders/"+string(order)+"/refunds", testAdminToken, body, "Idempotency-Key", key)
}

// refunded waits until the refund that was asked for has ended.
func (h *house) refunded(order onsale.OrderID, key, body string) (entry onsale.RefundEntry) {
	h.t.Helper()
	a := h.want(202, h.refund(order, key, body), &entry)
	h.eventually("the refund ends", func() bool {
		var page struct{ Refunds []onsale.RefundEntry }
		h.want(200, h.do("GET", a.header.Get("Location"), testAdminToken, ""), &page)
		for _, r := range page.Refunds {
			if r.ID == entry.ID {
				entry = r
			}
		}
		return entry.State != onsale.RefundStateDue
	})
	return entry
}

func TestRefundsGoAllTheWayAndTheirSeatsAreSoldAgainKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.paysBack()
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"stand","seats":["A-1","A-2"]},{"section":"floor","quantity":2}`), "tok_ok")
	part := h.refunded(order.ID, "part", `{"tickets":[2,4],"reason":"illness"}`)
	if part.State != onsale.RefundStateMade || part.Amount != 8000+5000 || part.Reference == "" {
		t.Fatalf("%+v", part)
	}
	h.eventually("its seats are back", func() bool {
		return h.counts("stand") == onsale.Counts{Available: 9, Sold: 1} && h.counts("floor") == onsale.Counts{Available: 9, Sold: 1}
	})
	other := h.signIn()
	h.buy(other, h.mustHold(other, `{"section":"stand","seats":["A-2"]}`), "tok_ok")
	h.audit()

	h.loseStock() // what is laid anew is the same
	h.eventually("the stock is laid anew", func() bool {
		l, err := h.shop.Catalog.Layout(t.Context(), "concert")
		check(t, err)
		stock, err := h.shop.Desk.Stock(t.Context(), l)
		return err == nil && stock.Sale == onsale.SaleOpen
	})
	if s, f := h.counts("stand"), h.counts("floor"); s != (onsale.Counts{Available: 8, Sold: 2}) || f != (onsale.Counts{Available: 9, Sold: 1}) {
		t.Errorf("laid anew: stand %+v, floor %+v", s, f)
	}

	whole := h.refunded(order.ID, "whole", `{}`)
	if whole.Amount != 8000+5000 || len(whole.Tickets) != 2 {
		t.Errorf("%+v", whole)
	}
	h.want(200, h.do("GET", "/v1/orders/"+string(order.ID), buyer, ""), &order)
	if order.State != onsale.OrderRefunded || order.Reason != onsale.ReasonRefundAsked {
		t.Errorf("%+v", order)
	}
	h.eventually("its seats are back", func() bool {
		return h.counts("stand") == onsale.Counts{Available: 9, Sold: 1} && h.counts("floor") == onsale.Counts{Available: 10}
	})
	h.mustHold(buyer, `{"section":"floor","quantity":4}`) // all that one buyer may have
	if report := h.audit(); report.Orders[onsale.OrderRefunded] != 1 || len(report.Unchecked) > 0 {
		t.Errorf("%v, unchecked %v", report.Orders, report.Unchecked)
	}
}

func TestRefundsAreTheOperatorsAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"floor","quantity":2}`), "tok_ok")
	path := "/v1/admin/orders/" + string(order.ID) + "/refunds"
	for method, body := range map[string]string{"GET": "", "POST": "{}"} {
		h.refused(403, onsale.CodeForbidden, h.do(method, path, buyer, body, "Idempotency-Key", "k"))
		h.refused(401, onsale.CodeUnauthenticated, h.do(method, path, "", body, "Idempotency-Key", "k"))
	}
	h.refused(400, onsale.CodeBadRequest, h.do("POST", path, testAdminToken, `{}`))
	h.refused(400, onsale.CodeBadRequest, h.refund(order.ID, "k", ``))
	h.refused(400, onsale.CodeBadRequest, h.refund(order.ID, "k", `{"ticket":[1]}`)) // misspelt, and not the whole
	h.refused(400, onsale.CodeBadRequest, h.refund(order.ID, "k", `{"amount":0}`))
	h.refused(400, onsale.CodeBadRequest, h.refund(order.ID, "k", `{"tickets":[]}`))
	h.refused(400, onsale.CodeBadRequest, h.refund(order.ID, "k", `{"payment":"of no order"}`))
	h.refused(404, onsale.CodeUnknownOrder, h.refund(onsale.NewHoldID("concert", 1).Order(), "k", `{}`))
	h.refused(404, onsale.CodeUnknownOrder, h.operator("GET", "/v1/admin/orders/nonsense/refunds", ""))
	var first, again onsale.RefundEntry
	h.want(202, h.refund(order.ID, "k", `{"tickets":[1]}`), &first)
	h.want(202, h.refund(order.ID, "k", `{"tickets":[1]}`), &again)
	if first.ID != again.ID || first.State != onsale.RefundStateDue || first.Payment == "" {
		t.Errorf("%+v and %+v", first, again)
	}
	h.refused(422, onsale.CodeKeyReused, h.refund(order.ID, "k", `{}`))
	h.refused(409, onsale.CodeNotRefundable, h.refund(order.ID, "k2", `{}`))
	if c := h.counts("floor"); c != (onsale.Counts{Available: 8, Sold: 2}) {
		t.Errorf("while it is due: %+v", c)
	}
}

func TestRefundThatTheBankSendsBackIsSeenAtTheProvidersNoticeKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.paysBack()
	buyer := h.signIn()
	order := h.buy(buyer, h.mustHold(buyer, `{"section":"floor","quantity":2}`), "tok_refund_failed")
	made := h.refunded(order.ID, "k", `{}`)
	if made.State != onsale.RefundStateMade {
		t.Fatalf("%+v", made)
	}
	notice := `{"id":"n1","order":"` + string(order.ID) + `","refund":"` + string(made.ID) + `"}`
	h.refused(401, onsale.CodeUnauthenticated, h.do("POST", noticesPath, "", notice, payment.SignatureHeader, "t=1,v1=forged"))
	h.eventually("the refund is told, and the notice taken", func() bool {
		signature := payment.SignWebhook([]byte(testWebhookSecret), []byte(notice), time.Now())
		return h.do("POST", noticesPath, "", notice, payment.SignatureHeader, signature).status == http.StatusNoContent
	})
	h.eventually("it has failed", func() bool {
		refunds, err := h.shop.Store.Refunds(t.Context(), order.ID)
		check(t, err)
		return refunds[0].State == onsale.RefundStateFailed
	})
	report, err := h.shop.Auditor.Audit(t.Context(), "concert", 10*time.Second)
	check(t, err)
	if err := report.Err(); err == nil || !strings.Contains(err.Error(), "has failed since") {
		t.Errorf("the audit says %v", err)
	}
}
