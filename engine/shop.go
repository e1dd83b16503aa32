package engine

import (
	"net/http"

	"onsale"
	"onsale/checkout"
	"onsale/holds"
	"onsale/persist"
)

// Shop is everything that is sold over, and administered through, HTTP.
type Shop struct {
	Sessions      *Sessions
	Catalog       *Catalog
	Desk          *holds.Desk
	Mirrors       *holds.Mirrors
	Till          *checkout.Till
	Store         *persist.Store
	Sales         *Sales
	Auditor       *Auditor
	WebhookSecret []byte // of the payment provider's notices; none are taken without

	forms forms
}

func (s *Shop) routes() []route {
	const body = onsale.MaxBodyBytes
	return []route{
		{http.MethodPost, "/v1/sessions", anyone, body, s.createSession},
		{http.MethodGet, "/v1/events", anyone, 0, s.listEvents},
		{http.MethodGet, "/v1/events/{event}", anyone, 0, s.getEvent},
		{http.MethodGet, "/v1/events/{event}/availability", anyone, 0, s.getAvailability},
		{http.MethodPost, "/v1/events/{event}/holds", buyers, body, s.createHold},
		{http.MethodGet, "/v1/holds/{hold}", buyers, 0, s.getHold},
		{http.MethodDelete, "/v1/holds/{hold}", buyers, body, s.releaseHold},
		{http.MethodPost, "/v1/holds/{hold}/extend", buyers, body, s.extendHold},
		{http.MethodPost, "/v1/holds/{hold}/checkout", buyers, body, s.checkout},
		{http.MethodGet, "/v1/orders", buyers, 0, s.listOrders},
		{http.MethodGet, "/v1/orders/{order}", buyers, 0, s.getOrder},
		{http.MethodGet, "/v1/orders/{order}/tickets", buyers, 0, s.listTickets},
		{http.MethodPost, "/v1/webhooks/payments", anyone, body, s.paymentWebhook},
		{http.MethodPost, "/v1/admin/events", operators, onsale.MaxEventBytes, s.createEvent},
		{http.MethodPost, "/v1/admin/events/{event}/open", operators, body, s.changeSale(onsale.SaleOpen)},
		{http.MethodPost, "/v1/admin/events/{event}/pause", operators, body, s.changeSale(onsale.SalePaused)},
		{http.MethodPost, "/v1/admin/events/{event}/close", operators, body, s.changeSale(onsale.SaleClosed)},
		{http.MethodGet, "/v1/admin/events/{event}/audit", operators, 0, s.auditEvent},
	}
}
