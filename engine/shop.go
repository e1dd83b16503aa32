package engine

import (
	"net/http"

	"onsale"
	"onsale/checkout"
	"onsale/checkout/payment"
	"onsale/holds"
	"onsale/notify"
	"onsale/persist"
)

// Shop is everything that is sold over, and administered through, HTTP.
type Shop struct {
	Sessions *Sessions
	Catalog  *Catalog
	Desk     *holds.Desk
	Mirrors  *holds.Mirrors
	Till     *checkout.Till
	Store    *persist.Store
	Sales    *Sales
	Auditor  *Auditor
	Notices  payment.Notices // of the payment provider; nil: none are taken
	Delays   *payment.Delays // nil: payments are never called delayed

	WebhookKeys     notify.Keyring // of the secrets of the operators' webhooks
	WebhookLoopback bool           // those may be on this machine

	forms forms
}

const (
	// noticesPath is where a payment provider sends its notices.
	noticesPath = "/v1/webhooks/payments"
	// maxNoticeBytes is the largest of them: Stripe's carry the whole object.
	maxNoticeBytes = 64 << 10
)

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
		{http.MethodGet, "/v1/contact", buyers, 0, s.getContact},
		{http.MethodPut, "/v1/contact", buyers, body, s.putContact},
		{http.MethodDelete, "/v1/contact", buyers, 0, s.eraseContact},
		{http.MethodGet, "/v1/orders/{order}/tickets.pdf", buyers, 0, s.printTickets},
		{http.MethodGet, "/v1/tickets", buyers, 0, s.listOwnTickets},
		{http.MethodGet, "/v1/tickets/key", anyone, 0, s.getTicketKey},
		{http.MethodGet, "/v1/tickets/{ticket}", buyers, 0, s.getTicket},
		{http.MethodGet, "/v1/tickets/{ticket}/qr.svg", buyers, 0, s.getTicketSVG},
		{http.MethodGet, "/v1/tickets/{ticket}/qr.png", buyers, 0, s.getTicketPNG},
		{http.MethodGet, "/v1/tickets/{ticket}/ticket.pdf", buyers, 0, s.getTicketPDF},
		{http.MethodPost, "/v1/tickets/{ticket}/transfers", buyers, body, s.offerTicket},
		{http.MethodDelete, "/v1/tickets/{ticket}/transfers", buyers, body, s.cancelOffer},
		{http.MethodPost, "/v1/transfers/{token}", buyers, body, s.acceptTransfer},
		{http.MethodPost, noticesPath, anyone, maxNoticeBytes, s.paymentWebhook},
		{http.MethodPost, "/v1/admin/events", operators, onsale.MaxEventBytes, s.createEvent},
		{http.MethodPost, "/v1/admin/events/{event}/open", operators, body, s.changeSale(onsale.SaleOpen)},
		{http.MethodPost, "/v1/admin/events/{event}/pause", operators, body, s.changeSale(onsale.SalePaused)},
		{http.MethodPost, "/v1/admin/events/{event}/close", operators, body, s.changeSale(onsale.SaleClosed)},
		{http.MethodGet, "/v1/admin/events/{event}/audit", operators, 0, s.auditEvent},
		{http.MethodPost, "/v1/admin/webhooks", operators, body, s.createWebhook},
		{http.MethodGet, "/v1/admin/webhooks", operators, 0, s.listWebhooks},
		{http.MethodGet, "/v1/admin/webhooks/{webhook}", operators, 0, s.getWebhook},
		{http.MethodDelete, "/v1/admin/webhooks/{webhook}", operators, 0, s.deleteWebhook},
		{http.MethodPost, "/v1/admin/webhooks/{webhook}/rotate", operators, body, s.rotateWebhook},
		{http.MethodPost, "/v1/admin/webhooks/{webhook}/enable", operators, body, s.enableWebhook},
		{http.MethodGet, "/v1/admin/orders/{order}/history", operators, 0, s.orderHistory},
		{http.MethodPost, "/v1/admin/orders/{order}/refunds", operators, body, s.askRefund},
		{http.MethodGet, "/v1/admin/orders/{order}/refunds", operators, 0, s.listRefunds},
		{http.MethodGet, "/v1/admin/events/{event}/checkins", operators, 0, s.countCheckins},
		{http.MethodGet, "/v1/admin/events/{event}/tickets/void", operators, 0, s.listVoidCodes},
		{http.MethodPost, "/v1/admin/checkins", operators, body, s.checkIn},
	}
}
