package engine

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"image/png"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"onsale"
)

// ticketed buys admissions and returns the order and its tickets.
func (h *house) ticketed(token, lines string) (onsale.Order, []onsale.Ticket) {
	h.t.Helper()
	order := h.buy(token, h.mustHold(token, lines), "tok_ok")
	if order.State != onsale.OrderTicketed {
		h.t.Fatalf("order %+v", order)
	}
	return order, h.ticketsAt("/v1/orders/"+string(order.ID)+"/tickets", token)
}

func (h *house) ticketsAt(path, token string) []onsale.Ticket {
	h.t.Helper()
	var page struct{ Tickets []onsale.Ticket }
	h.want(200, h.do("GET", path, token, ""), &page)
	return page.Tickets
}

func (h *house) scan(body string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "/v1/admin/checkins", testAdminToken, body, headers...)
}

func TestATicketIsDrawnForItsOwnerKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer, stranger := h.signIn(), h.signIn()
	order, list := h.ticketed(buyer, `{"section":"stand","seats":["A-1"]},{"section":"floor","quantity":1}`)
	ticket := "/v1/tickets/" + string(list[0].ID)
	for path, begins := range map[string]string{
		ticket + "/qr.svg":     `<svg xmlns="http://www.w3.org/2000/svg"`,
		ticket + "/qr.png":     "\x89PNG",
		ticket + "/ticket.pdf": "%PDF-",
		"/v1/orders/" + string(order.ID) + "/tickets.pdf": "%PDF-",
	} {
		first := h.want(200, h.do("GET", path, buyer, ""), nil)
		if !bytes.HasPrefix(first.body, []byte(begins)) || first.header.Get("Cache-Control") != "private, no-cache" || first.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %.40q, %v", path, first.body, first.header)
		}
		if again := h.do("GET", path, buyer, ""); !bytes.Equal(again.body, first.body) {
			t.Errorf("%s is drawn otherwise the second time", path)
		}
		if again := h.do("GET", path, buyer, "", "If-None-Match", first.header.Get("ETag")); again.status != http.StatusNotModified || len(again.body) > 0 {
			t.Errorf("%s is drawn again for who has it: %d", path, again.status)
		}
		code := onsale.CodeUnknownTicket
		if strings.HasPrefix(path, "/v1/orders/") {
			code = onsale.CodeUnknownOrder
		}
		h.refused(404, code, h.do("GET", path, stranger, ""))
		h.refused(401, onsale.CodeUnauthenticated, h.do("GET", path, "", ""))
	}
	picture := must(png.Decode(bytes.NewReader(h.do("GET", ticket+"/qr.png", buyer, "").body)))
	// That a reader of photographs finds codes is tested where they are drawn, with codes that stay the same: of
	// those that don't, the library's doesn't find 3 in 600.
	drawn := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}
	read := must(qrcode.NewQRCodeReader().Decode(must(gozxing.NewBinaryBitmapFromImage(picture)), drawn))
	if read.GetText() != list[0].Code {
		t.Errorf("a scanner reads %s, the code is %s", read.GetText(), list[0].Code)
	}
	h.refused(404, onsale.CodeUnknownTicket, h.do("GET", "/v1/tickets/"+string(order.ID.Ticket(9))+"/qr.svg", buyer, ""))
	declined := h.buy(buyer, h.mustHold(buyer, `{"section":"floor","quantity":1}`), "tok_decline")
	h.refused(404, onsale.CodeUnknownTicket, h.do("GET", "/v1/orders/"+string(declined.ID)+"/tickets.pdf", buyer, ""))

	var key struct{ Key, PEM string }
	h.want(200, h.do("GET", "/v1/tickets/key", "", ""), &key)
	raw := ed25519.PublicKey(must(base64.StdEncoding.DecodeString(key.Key)))
	block, _ := pem.Decode([]byte(key.PEM))
	parsed := must(x509.ParsePKIXPublicKey(block.Bytes))
	if admits, ok := onsale.VerifyCode(raw, list[0].Code); !ok || admits.ID != list[0].ID || !raw.Equal(parsed) {
		t.Errorf("with the public key the code reads %+v, %v", admits, ok)
	}
}

func TestAGateAdmitsEachTicketOnceKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, list := h.ticketed(h.signIn(), `{"section":"stand","seats":["A-1","A-2"]},{"section":"floor","quantity":1}`)
	var first, again onsale.Checkin
	body := `{"code":"` + list[0].Code + `\n","gate":"north","event":"concert"}`
	h.want(201, h.scan(body, "Idempotency-Key", "scan-1"), &first)
	h.want(201, h.scan(body, "Idempotency-Key", "scan-1"), &again)
	if first != again || first.Ticket != list[0].ID || first.Gate != "north" || first.Seat != "A-1" {
		t.Errorf("admitted %+v, then %+v", first, again)
	}
	var refused struct{ First *onsale.Checkin }
	h.want(409, h.refused(409, onsale.CodeAlreadyAdmitted, h.scan(strings.Replace(body, "north", "south", 1))), &refused)
	if refused.First == nil || *refused.First != first {
		t.Errorf("the second was told of %+v", refused.First)
	}
	h.refused(422, onsale.CodeKeyReused, h.scan(strings.Replace(body, list[0].Code, list[1].Code, 1), "Idempotency-Key", "scan-1"))
	h.refused(409, onsale.CodeOtherEvent, h.scan(`{"code":"`+list[1].Code+`","gate":"north","event":"ball"}`))
	h.refused(422, onsale.CodeForgedCode, h.scan(`{"code":"https://example.org","gate":"north"}`))
	for _, wrong := range []string{`{"code":"x"}`, `{"code":"x","gate":""}`, `{"code":"x","gate":"` + strings.Repeat("g", 65) + `"}`, `{"code":"x","gate":"a\u0000b"}`, `{"code":"x","door":"a"}`, `[]`} {
		h.refused(400, onsale.CodeBadRequest, h.scan(wrong))
	}
	h.refused(400, onsale.CodeBadRequest, h.scan(body, "Idempotency-Key", "\xff"))

	var admitted, told atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch a := h.scan(`{"code":"` + list[2].Code + `","gate":"crowd"}`); a.status {
			case 201:
				admitted.Add(1)
			case 409:
				told.Add(1)
			}
		})
	}
	if wg.Wait(); admitted.Load() != 1 || told.Load() != 49 {
		t.Errorf("%d were admitted and %d told", admitted.Load(), told.Load())
	}
	var counts struct{ Sections []onsale.AdmittedSection }
	h.want(200, h.operator("GET", "/v1/admin/events/concert/checkins", ""), &counts)
	if want := []onsale.AdmittedSection{{ID: "floor", Tickets: 1, Admitted: 1}, {ID: "stand", Tickets: 2, Admitted: 1}}; len(counts.Sections) != 2 || counts.Sections[0] != want[0] || counts.Sections[1] != want[1] {
		t.Errorf("counted %+v, want %+v", counts.Sections, want)
	}
	h.audit()
	buyer := h.signIn()
	for path, method := range map[string]string{"/v1/admin/checkins": "POST", "/v1/admin/events/concert/checkins": "GET", "/v1/admin/events/concert/tickets/void": "GET"} {
		h.refused(401, onsale.CodeUnauthenticated, h.do(method, path, "", ""))
		h.refused(403, onsale.CodeForbidden, h.do(method, path, buyer, ""))
	}
	for _, path := range []string{"checkins", "tickets/void"} {
		h.refused(404, onsale.CodeUnknownEvent, h.operator("GET", "/v1/admin/events/nowhere/"+path, ""))
	}
}

func TestATicketChangesHandsByItsLinkKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	buyer, friend, stranger := h.signIn(), h.signIn(), h.signIn()
	order, list := h.ticketed(buyer, `{"section":"stand","seats":["A-1","A-2"]}`)
	path, given := "/v1/tickets/"+string(list[0].ID), list[0]
	var offer, again onsale.Transfer
	location := h.want(201, h.do("POST", path+"/transfers", buyer, "", "Idempotency-Key", "k"), &offer).header.Get("Location")
	h.want(201, h.do("POST", path+"/transfers", buyer, "", "Idempotency-Key", "k"), &again)
	if offer != again || location != "/v1/transfers/"+string(offer.Token) || offer.ExpiresAt.Sub(offer.OfferedAt) != onsale.TransferTime {
		t.Errorf("offered %+v at %s, then %+v", offer, location, again)
	}
	for _, method := range []string{"POST", "DELETE"} { // nobody else's business
		h.refused(404, onsale.CodeUnknownTicket, h.do(method, path+"/transfers", stranger, ""))
		h.refused(401, onsale.CodeUnauthenticated, h.do(method, path+"/transfers", "", ""))
	}
	h.refused(401, onsale.CodeUnauthenticated, h.do("POST", location, "", ""))
	h.refused(404, onsale.CodeUnknownTransfer, h.do("POST", "/v1/transfers/"+string(onsale.NewTransferToken()), friend, ""))
	h.want(204, h.do("DELETE", path+"/transfers", buyer, ""), nil)
	h.want(204, h.do("DELETE", path+"/transfers", buyer, ""), nil)
	h.refused(410, onsale.CodeTransferEnded, h.do("POST", location, friend, ""))

	location = h.want(201, h.do("POST", path+"/transfers", buyer, ""), &offer).header.Get("Location")
	var taken onsale.Ticket
	h.want(200, h.do("POST", location, friend, ""), &taken)
	h.want(200, h.do("POST", location, friend, ""), nil)
	h.refused(410, onsale.CodeTransferEnded, h.do("POST", location, stranger, ""))
	if taken.ID != given.ID || taken.Serial != 2 || taken.Code == given.Code || taken.Code == "" {
		t.Errorf("taken %+v", taken)
	}
	for _, part := range []string{"", "/qr.svg", "/qr.png", "/ticket.pdf"} {
		h.refused(404, onsale.CodeUnknownTicket, h.do("GET", path+part, buyer, ""))
		h.want(200, h.do("GET", path+part, friend, ""), nil)
	}
	if own := h.ticketsAt("/v1/tickets", friend); len(own) != 1 || own[0].Code != taken.Code {
		t.Errorf("the friend owns %+v", own)
	}
	if own := h.ticketsAt("/v1/tickets?limit=1", buyer); len(own) != 1 || own[0].ID != list[1].ID {
		t.Errorf("the buyer owns %+v", own)
	}
	ordered := h.ticketsAt("/v1/orders/"+string(order.ID)+"/tickets", buyer)
	if len(ordered) != 2 || ordered[0].Code != "" || !ordered[0].Transferred || ordered[1].Code == "" || ordered[1].Transferred {
		t.Errorf("the order shows %+v", ordered)
	}
	h.refused(404, onsale.CodeUnknownOrder, h.do("GET", "/v1/orders/"+string(order.ID)+"/tickets", friend, ""))
	h.refused(400, onsale.CodeBadRequest, h.do("GET", "/v1/tickets?limit=101", buyer, ""))
	h.refused(400, onsale.CodeBadRequest, h.do("GET", "/v1/tickets?cursor=x", buyer, ""))

	var void struct{ Void []onsale.VoidCode }
	h.want(200, h.operator("GET", "/v1/admin/events/concert/tickets/void", ""), &void)
	if len(void.Void) != 1 || void.Void[0] != (onsale.VoidCode{Ticket: given.ID, Serial: 1}) {
		t.Errorf("void are %+v", void.Void)
	}
	h.refused(409, onsale.CodeTicketReissued, h.scan(`{"code":"`+given.Code+`","gate":"A"}`))
	h.want(201, h.scan(`{"code":"`+taken.Code+`","gate":"A"}`), nil)
	h.refused(409, onsale.CodeAlreadyAdmitted, h.do("POST", path+"/transfers", friend, ""))
	h.audit()
}

func TestDrawingWaitsItsTurnAndSaysWhenItIsTooMuch(t *testing.T) {
	for range cap(easels) { // nobody else draws: no test is parallel to this one
		easels <- struct{}{}
	}
	_, err := atEasel(t.Context(), func() ([]byte, error) { t.Error("drawn with all easels taken"); return nil, nil })
	if onsale.CodeOf(err) != onsale.CodeOverloaded {
		t.Errorf("%v, want overloaded", err)
	}
	turn := time.AfterFunc(drawPatience/4, func() { <-easels })
	defer turn.Stop()
	if body, err := atEasel(t.Context(), func() ([]byte, error) { return []byte("x"), nil }); err != nil || string(body) != "x" {
		t.Errorf("%s, %v", body, err)
	}
	for len(easels) > 0 {
		<-easels
	}
}
