package web_test

import (
	"testing"

	"onsale"
)

// delay has the orders under way wait for a provider that fails, or no longer.
func (o *office) delay(payment string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, order := range o.orders {
		if order.State.AwaitsPayment() {
			order.Payment = payment
		}
	}
}

func TestDelayedPaymentIsToldAndEndsByItself(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.press("Pay €45.00")
	p.shows(".panel h2", "Order accepted")
	o.delay(onsale.PaymentDelayed)
	p.shows(".panel h2", "Payment delayed")
	p.shows(".panel", "it is charged once")
	p.eval("location.hash = '#/orders'")
	p.shows(".orders", "Payment delayed")
	p.eval("history.back()")
	p.shows(".panel h2", "Payment delayed")
	o.delay("")
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed)
	o.delay(onsale.PaymentDelayed)
	p.shows(".panel h2", "Payment delayed")
	o.delay("")
	o.advance(onsale.OrderPaid, onsale.OrderTicketed)
	p.shows(".panel h2", "You have your tickets")
}
