package engine

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"onsale"
	"onsale/checkout"
	"onsale/holds"
	"onsale/internal/reactor"
)

// The request of a rush, which is asked a hundred thousand times in a second, is answered where
// it is read, on the reactor's loop, and has no goroutine. Only what can be decided there at once
// is: a hold of a known event, asked for in words that are known. All else, and whatever is wrong
// with it, is createHold's, whose answers these are, byte for byte of the body.

var (
	eventsPath   = []byte("/v1/events/")
	holdsPath    = []byte("/v1/holds/")
	holdsEnd     = []byte("/holds")
	checkoutsEnd = []byte("/checkout")
)

// between is the one segment between the beginning and the end of a path; nil if the path is another.
func between(beginning, path, end []byte) []byte {
	segment, ok := bytes.CutPrefix(path, beginning)
	if !ok {
		return nil
	}
	if segment, ok = bytes.CutSuffix(segment, end); !ok || bytes.IndexByte(segment, '/') >= 0 {
		return nil
	}
	return segment
}

// quick is the reactor's: it takes requests for holds and check-outs. What it has begun to answer
// it has taken, even if a panic ends it: asked again, the request would be answered twice.
func (s *Server) quick(c *reactor.Conn, q *reactor.Request) bool {
	if s.cfg.Shop == nil || len(q.Key) > onsale.MaxKeyLength || s.draining.Load() {
		return false
	}
	if event := between(eventsPath, q.Path, holdsEnd); event != nil {
		return s.quickHold(c, q, event)
	}
	if hold := between(holdsPath, q.Path, checkoutsEnd); hold != nil {
		return s.quickCheckout(c, q, onsale.HoldID(hold))
	}
	return false
}

// quickHold answers POST /v1/events/{event}/holds.
func (s *Server) quickHold(c *reactor.Conn, q *reactor.Request, event []byte) (taken bool) {
	shop := s.cfg.Shop
	l := shop.Catalog.Known(onsale.EventID(event))
	if l == nil {
		return false
	}
	form := shop.plainForm(l, q.Body)
	if form == nil {
		return false
	}
	x, taken := s.exchange(c, s.holds), true
	defer x.guard()
	buyer, err := s.cfg.Sessions.verify(bearerOf(q.Authorization))
	if err != nil {
		x.refuse(err)
		return true
	}
	shop.Desk.HoldThen(l, holds.Request{Buyer: buyer, Asks: form.Asks, Key: string(q.Key), Form: form}, x.held)
	return true
}

// quickCheckout answers POST /v1/holds/{hold}/checkout.
func (s *Server) quickCheckout(c *reactor.Conn, q *reactor.Request, id onsale.HoldID) (taken bool) {
	event, _, ok := id.Parse()
	if !ok {
		return false
	}
	l := s.cfg.Shop.Catalog.Known(event)
	if l == nil {
		return false
	}
	token, ok := scanPayment(q.Body)
	if !ok {
		return false
	}
	x, taken := s.exchange(c, s.checkouts), true
	defer x.guard()
	buyer, err := s.cfg.Sessions.verify(bearerOf(q.Authorization))
	if err != nil {
		x.refuse(err)
		return true
	}
	s.cfg.Shop.Till.AcceptThen(l, checkout.Request{Hold: id, Buyer: buyer, PaymentToken: token}, x.bought)
	return true
}

// scanPayment reads {"payment_token":"…"}. ok is false for anything else.
func scanPayment(body []byte) (token string, ok bool) {
	s := scanner{rest: body}
	s.want('{')
	if s.text() != "payment_token" {
		return "", false
	}
	s.want(':')
	token = s.text()
	s.want('}')
	s.space()
	return token, !s.lost && len(s.rest) == 0
}

// exchange is a quick request that is not yet answered.
type exchange struct {
	server     *Server
	conn       *reactor.Conn // nil when it is answered
	where      *tally
	began      time.Time
	held       func(onsale.Hold, error)  // answers with a hold
	bought     func(onsale.Order, error) // answers with an order
	head, body []byte                    // of the answer; kept for the next exchange
}

// exchange returns one that is in nobody's hands.
func (s *Server) exchange(c *reactor.Conn, where *tally) *exchange {
	x, _ := s.exchanges.Get().(*exchange)
	if x == nil {
		x = &exchange{server: s}
		x.held, x.bought = x.answerHold, x.answerOrder
	}
	x.conn, x.where, x.began = c, where, time.Now()
	return x
}

// guard answers what a defect has left unanswered: see Server.guard.
func (x *exchange) guard() {
	p := recover()
	if p == nil {
		return
	}
	x.server.panics.Inc()
	x.server.cfg.Log.Error("a quick answer panicked", "panic", p, "stack", string(debug.Stack()))
	if x.conn != nil {
		x.where = x.server.panicked
		x.refuse(fmt.Errorf("panic: %v", p))
	}
}

func (x *exchange) answerHold(h onsale.Hold, err error) {
	defer x.guard()
	if err == nil {
		x.body, err = h.AppendJSON(x.body[:0])
	}
	if err != nil {
		x.refuse(err)
		return
	}
	x.created("201 Created", "/v1/holds/", string(h.ID))
}

func (x *exchange) answerOrder(o onsale.Order, err error) {
	defer x.guard()
	if err == nil {
		x.body, err = o.AppendJSON(x.body[:0])
	}
	if err != nil {
		x.refuse(err)
		return
	}
	x.created("202 Accepted", "/v1/orders/", string(o.ID))
}

// created answers with the body that x has, as request.created does.
func (x *exchange) created(status, where, id string) {
	x.begin(status, "application/json")
	x.head = append(append(append(x.head, "\r\nLocation: "...), where...), id...)
	x.reply("ok")
}

// refuse answers with err, as the function of that name does.
func (x *exchange) refuse(err error) {
	r := refusalOf(err)
	if r.code == onsale.CodeInternal {
		x.server.cfg.Log.Error("request failed", "route", x.where.route, "error", err)
	}
	x.body = append(x.body[:0], r.body...)
	x.begin(strconv.Itoa(r.status)+" "+http.StatusText(r.status), "application/problem+json")
	r.headers(func(name, value string) {
		x.head = append(append(append(append(x.head, "\r\n"...), name...), ": "...), value...)
	})
	x.reply(r.code)
}

func (x *exchange) begin(status, contentType string) {
	x.head = append(append(append(x.head[:0], "HTTP/1.1 "...), status...), "\r\nContent-Length: "...)
	x.head = strconv.AppendInt(x.head, int64(len(x.body)), 10)
	x.head = append(append(x.head, "\r\nCache-Control: no-store\r\nContent-Type: "...), contentType...)
}

func (x *exchange) reply(code onsale.Code) {
	x.head = append(append(x.head, "\r\n\r\n"...), x.body...)
	conn := x.conn
	x.conn = nil
	x.server.quicks.Inc()
	conn.Reply(x.head)
	x.where.note(code, x.began)
	x.server.exchanges.Put(x)
}
