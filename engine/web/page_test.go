package web_test

import (
	"testing"

	"onsale"
)

const eventAddress = "/#/events/arena-2027"

func left(section string) string { return "[data-section=" + section + "] .left" }

func openEvent(t *testing.T, o *office) *tab {
	t.Helper()
	p := openTab(t, o.url, eventAddress)
	p.shows(".live", "Live")
	return p
}

func TestEventsAreListedWithWhatIsLeft(t *testing.T) {
	o := newOffice(t, arena())
	p := openTab(t, o.url, "/")
	p.shows("[data-event=arena-2027]", "6,048 left of 6,048")
	p.shows("[data-event=arena-2027]", "Harbour Arena")
	p.shows("[data-event=arena-2027] .badge", "On sale")
	p.shoot("events")
	o.others(onsale.SeatAvailable, onsale.SeatSold, onsale.Line{Section: "floor", Quantity: 48})
	p.shows("[data-event=arena-2027]", "6,000 left of 6,048")
	p.phone()
	p.shoot("events-phone")
}

func TestCountsFollowTheFeed(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.shows("h1", "The Lanterns: Midsummer")
	p.shows(left("floor"), "200")
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "floor", Quantity: 30}, onsale.Line{Section: "north", Seats: []string{"A-1", "A-2"}})
	p.shows(left("floor"), "170")
	p.shows(left("north"), "446")
	o.others(onsale.SeatHeld, onsale.SeatSold, onsale.Line{Section: "floor", Quantity: 25})
	p.shows("[data-section=floor] .figures", "170 left · 5 held · 25 sold")
	p.shows(".left-all", "6,016 left of 6,048")
	o.setSale(onsale.SalePaused)
	p.shows(".badge", "Paused")
	p.shows(".panel", "The sale is paused")
	p.eventually("nothing can be chosen", "document.querySelector('.stepper input').disabled")
	o.setSale(onsale.SaleOpen)
	p.eventually("one can choose again", "!document.querySelector('.stepper input').disabled")
}

func TestWhileTheStockIsInDoubtThePageSaysSoAndGoesOnByItself(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.shows(left("floor"), "200")
	o.doubt(onsale.SaleRecovering)
	p.shows(".badge", "One moment")
	p.shows(".panel", "The sale is being checked and goes on in a moment")
	p.shows(left("floor"), "200")
	p.eventually("nothing can be chosen", "document.querySelector('.stepper input').disabled")
	o.doubt(onsale.SaleOpen)
	p.shows(".badge", "On sale")
	p.eventually("one can choose again", "!document.querySelector('.stepper input').disabled")
}

func TestGeneralAdmissionIsHeldPaidAndTicketed(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("One more for Floor")
	p.shows(".panel", "€90.00")
	p.press("Hold 2 tickets")
	p.shows(".panel h2", "Held for you")
	p.eventually("the countdown runs", "/^(2:00|1:5\\d)$/.test(document.querySelector('.clock').innerText)")
	p.shows("[data-section=floor] .figures", "198 left · 2 held · 0 sold")
	p.shoot("held")
	p.press("Pay €90.00")
	p.shows(".panel h2", "Order accepted")
	p.shoot("accepted")
	o.advance(onsale.OrderClaimed)
	p.shows(".panel h2", "Tickets confirmed")
	o.advance(onsale.OrderPaid, onsale.OrderTicketed)
	p.shows(".panel h2", "You have your tickets")
	p.eventually("both tickets have a code", "[...document.querySelectorAll('.ticket .code')].filter((c) => c.innerText.length > 80).length === 2")
	p.shows("[data-section=floor] .figures", "198 left · 0 held · 2 sold")
	p.shoot("ticketed")

	p.press("Buy more")
	p.shows(".panel h2", "Your tickets")
	p.eval("document.querySelector('a[href=\"#/orders\"]').click()")
	p.shows(".orders", "You have your tickets · €90.00")
	p.eval("document.querySelector('.orders summary').click()")
	p.eventually("the order shows its tickets", "document.querySelectorAll('.orders .ticket').length === 2")
	p.shoot("orders")
}

func TestDeclinedPaymentGivesTheSeatsBackAndSaysSo(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
	p.eval("document.querySelector('input[value=tok_decline]').click()")
	p.press("Pay €45.00")
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderDeclined)
	p.shows(".panel h2", "The payment was declined")
	p.shows(".panel", "You were not charged")
	p.shows(".panel", "“insufficient funds”")
	p.shows(left("floor"), "200")
	p.shoot("declined")
	p.press("Choose again")
	p.press("One more for Floor")
	p.shows(".panel h2", "1 ticket chosen")
}

func TestReleasedHoldIsOnSaleAgain(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(left("floor"), "199")
	p.press("Give them back")
	p.shows(left("floor"), "200")
	p.shows(".panel h2", "Your tickets")
}

func TestNobodyCanChooseMoreThanOneMayHave(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.eval(`{ const input = document.querySelector('.stepper input'); input.value = 99; input.dispatchEvent(new Event('change')); }`)
	p.shows(".panel h2", "4 tickets chosen")
	p.eventually("there is no more", "document.querySelector('[aria-label=\"One more for Floor\"]').disabled")
}

func TestOrderIsFoundWithoutItsNews(t *testing.T) {
	o := newOffice(t, arena())
	o.keepQuiet()
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.press("Pay €45.00")
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
	p.shows(".panel h2", "You have your tickets")
}

func TestUnknownEventIsExplained(t *testing.T) {
	o := newOffice(t, arena())
	p := openTab(t, o.url, "/#/events/nothing")
	p.shows("main [role=alert]", "There is no such event")
}
