package engine

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"onsale"
	"onsale/holds"
	"onsale/internal/reactor"
)

// The request of a rush, which is asked a hundred thousand times in a second, is answered where
// it is read, on the reactor's loop, and has no goroutine. Only what can be decided there at once
// is: a hold of a known event, asked for in words that are known. All else, and whatever is wrong
// with it, is createHold's, whose answers these are, byte for byte of the body.

var (
	eventsPath = []byte("/v1/events/")
	holdsPath  = []byte("/holds")
)

// heldEventOf is the event of POST /v1/events/{event}/holds; nil if it is another path.
func heldEventOf(path []byte) []byte {
	event, ok := bytes.CutPrefix(path, eventsPath)
	if !ok {
		return nil
	}
	if event, ok = bytes.CutSuffix(event, holdsPath); !ok || bytes.IndexByte(event, '/') >= 0 {
		return nil
	}
	return event
}

// quick is the reactor's: it takes a request for a hold.
func (s *Server) quick(c *reactor.Conn, q *reactor.Request) bool {
	event := heldEventOf(q.Path)
	if event == nil || s.cfg.Shop == nil || len(q.Body) > onsale.MaxBodyBytes || len(q.Key) > onsale.MaxKeyLength {
		return false
	}
	x := s.exchange(c)
	defer x.guard()
	buyer, err := s.cfg.Sessions.verify(bearerOf(q.Authorization))
	if err != nil {
		x.tell(onsale.Hold{}, err)
		return true
	}
	shop := s.cfg.Shop
	l := shop.Catalog.Known(event)
	if l == nil {
		x.put()
		return false
	}
	form := shop.plainForm(l, q.Body)
	if form == nil {
		x.put()
		return false
	}
	shop.Desk.HoldThen(l, holds.Request{Buyer: buyer, Asks: form.Asks, Key: string(q.Key), Form: form}, x.then)
	return true
}

// exchange is a quick request that is not yet answered.
type exchange struct {
	server     *Server
	conn       *reactor.Conn
	began      time.Time
	then       func(onsale.Hold, error) // tellGuarded
	head, body []byte                   // of the answer; kept for the next exchange
}

// exchange returns one that is in nobody's hands.
func (s *Server) exchange(c *reactor.Conn) *exchange {
	x, _ := s.exchanges.Get().(*exchange)
	if x == nil {
		x = &exchange{server: s}
		x.then = x.tellGuarded
	}
	x.conn, x.began = c, time.Now()
	return x
}

func (x *exchange) put() {
	x.conn = nil
	x.server.exchanges.Put(x)
}

// tellGuarded is tell for a goroutine of the desk's.
func (x *exchange) tellGuarded(h onsale.Hold, err error) {
	defer x.guard()
	x.tell(h, err)
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
		x.refuse(fmt.Errorf("panic: %v", p), x.server.panicked)
	}
}

// tell answers with what has come of the request.
func (x *exchange) tell(h onsale.Hold, err error) {
	if err == nil {
		x.body, err = appendHold(x.body[:0], &h)
	}
	if err != nil {
		x.refuse(err, x.server.holds)
		return
	}
	x.head = append(x.head[:0], "HTTP/1.1 201 Created\r\nContent-Length: "...)
	x.head = strconv.AppendInt(x.head, int64(len(x.body)), 10)
	x.head = append(x.head, "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nLocation: /v1/holds/"...)
	x.head = append(append(x.head, h.ID...), "\r\n\r\n"...)
	x.reply(x.server.holds, "ok")
}

func (x *exchange) refuse(err error, where *tally) {
	r := refusalOf(err)
	if r.code == onsale.CodeInternal {
		x.server.cfg.Log.Error("request failed", "route", where.route, "error", err)
	}
	x.head = append(x.head[:0], "HTTP/1.1 "...)
	x.head = strconv.AppendInt(x.head, int64(r.status), 10)
	x.head = append(append(append(x.head, ' '), http.StatusText(r.status)...), "\r\nContent-Length: "...)
	x.head = strconv.AppendInt(x.head, int64(len(r.body)), 10)
	x.head = append(x.head, "\r\nContent-Type: application/problem+json\r\nCache-Control: no-store"...)
	r.headers(func(name, value string) {
		x.head = append(append(append(append(x.head, "\r\n"...), name...), ": "...), value...)
	})
	x.head = append(x.head, "\r\n\r\n"...)
	x.body = append(x.body[:0], r.body...)
	x.reply(where, r.code)
}

func (x *exchange) reply(where *tally, code onsale.Code) {
	x.head = append(x.head, x.body...)
	conn := x.conn
	x.conn = nil // from here on it is answered
	conn.Reply(x.head)
	where.note(code, x.began)
	x.put()
}
