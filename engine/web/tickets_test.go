package web_test

import (
	"net/http"
	"strings"
	"testing"

	"onsale"
	"onsale/tickets"
)

// drawn answers with a picture.
func drawn(w http.ResponseWriter, contentType string, picture []byte, err error) {
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(picture) // a browser that went away is no failure of the office
}

func (o *office) printTickets(w http.ResponseWriter, r *http.Request) {
	o.withOrder(w, r, func(order *onsale.Order) {
		pdf, err := tickets.PDF(o.layout.Event, ticketsOf(order))
		drawn(w, "application/pdf", pdf, err)
	})
}

func (o *office) drawTicket(w http.ResponseWriter, r *http.Request) {
	order, number, ok := onsale.TicketID(r.PathValue("ticket")).Parse()
	if !ok {
		refused(w, onsale.Refuse(onsale.CodeUnknownTicket, "no such ticket"))
		return
	}
	r.SetPathValue("order", string(order))
	o.withOrder(w, r, func(order *onsale.Order) {
		if err := o.nextRefusal(); err != nil {
			refused(w, err)
			return
		}
		svg, err := tickets.SVG(ticketsOf(order)[number-1].Code)
		drawn(w, "image/svg+xml", svg, err)
	})
}

// haveTickets buys two places on the floor.
func haveTickets(o *office, p *tab) {
	p.t.Helper()
	p.press("One more for Floor")
	p.press("One more for Floor")
	p.press("Hold 2 tickets")
	p.shows(".panel h2", "Held for you")
	p.press("Pay €90.00")
	p.shows(".panel h2", "Order accepted")
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
}

const shownCodes = "[...document.querySelectorAll('.ticket img.qr')].filter((i) => i.complete && i.naturalWidth > 0 && i.alt.includes('Floor')).length"

func TestBoughtTicketsAreShownAsQRCodes(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	haveTickets(o, p)
	p.eventually("both QR codes are there", shownCodes+" === 2")
	p.eval("document.querySelector('.ticket').scrollIntoView()")
	p.shoot("tickets")
	if drawn := o.sent("GET /v1/tickets/"); len(drawn) != 2 {
		t.Errorf("drawn are %v, want each once", drawn)
	}
	p.eval("location.hash = '#/orders'")
	p.shows(".orders", "You have your tickets")
	p.eval("document.querySelector('.orders details').open = true")
	p.eventually("they are under My tickets too", shownCodes+" === 2")
}

func TestTicketsAreSavedAsPDF(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	haveTickets(o, p)
	p.eval(`{
		const make = URL.createObjectURL;
		URL.createObjectURL = (blob) => { window.file = blob; return make(blob); };
		HTMLAnchorElement.prototype.click = function () { window.saved = this.download; };
	}`)
	p.press("Save as PDF")
	p.eventually("a file is saved", "window.saved")
	name, begins := value[string](p, "window.saved"), value[string](p, "window.file.text().then((text) => text.slice(0, 5))")
	if name != "tickets-arena-2027.pdf" || !strings.HasPrefix(begins, "%PDF-") {
		t.Errorf("saved as %s: %s", name, begins)
	}
}

func TestAPictureThatCanNotBeHadLeavesTheCode(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
	p.press("Pay €45.00")
	p.shows(".panel h2", "Order accepted")
	o.refuse(onsale.Refuse(onsale.CodeUnknownTicket, "gone"))
	o.advance(onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed)
	p.shows(".ticket", "The QR code can not be shown right now")
	p.eventually("the code is there", "document.querySelector('.ticket .code').innerText.length > 80")
}

func TestTicketsThatAdmitNobodySayWhy(t *testing.T) {
	p := openTab(t, newOffice(t, arena()).url, "/")
	for ticket, says := range map[string]string{
		`{ state: 'void' }`:                                                  "Refunded",
		`{ state: 'blocked', code: 'X' }`:                                    "A refund is under way",
		`{ state: 'valid', transferred: true }`:                              "You gave this ticket to someone else",
		`{ state: 'valid', code: 'X', admitted_at: '2027-01-01T00:00:00Z' }`: "Used at the gate",
	} {
		text := value[string](p, `import('/assets/ticket_list.js').then(({ ticketList }) => {
			const ticket = { id: 'tkt_x', section: 'floor', ...`+ticket+` };
			const view = ticketList({ id: 'x', event: 'y' }, [ticket], (id) => id);
			return view.textContent + (view.querySelector('img') ? ' with a picture' : '');
		})`)
		if !strings.Contains(text, says) || strings.Contains(text, "with a picture") != strings.Contains(ticket, "code") {
			t.Errorf("%s says %q", ticket, text)
		}
	}
}
