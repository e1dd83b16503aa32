package engine

import (
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/checkout"
	"onsale/holds"
)

func (s *Shop) createHold(r *request) error {
	l, err := s.Catalog.Layout(r.life, onsale.EventID(r.param))
	if err != nil {
		return err
	}
	form, err := s.form(r, l)
	if err != nil {
		return err
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	hold, err := s.Desk.Hold(r.life, l, holds.Request{Buyer: r.buyer, Asks: form.Asks, Key: key, Form: form})
	if err != nil {
		return err
	}
	answer := &r.ctx.Response
	body, err := appendHold(answer.SwapBody(nil)[:0], &hold) // into the connection's own buffer
	if err != nil {
		return err
	}
	answer.SwapBody(body)
	answer.Header.Set(fasthttp.HeaderLocation, "/v1/holds/"+string(hold.ID))
	r.describe(http.StatusCreated)
	return nil
}

// plainForm is what a body in the plainest words asks of the event; nil if it has other words, or
// asks for what can't be.
func (s *Shop) plainForm(l *onsale.Layout, body []byte) *holds.Form {
	if form := s.forms.find(l, body); form != nil {
		return form
	}
	lines, ok := scanAsks(body)
	if !ok {
		return nil
	}
	asks, err := l.CheckAsks(lines)
	if err != nil {
		return nil
	}
	form := holds.NewForm(asks)
	s.forms.keep(l, body, form)
	return form
}

// form is what the request's body asks of the event.
func (s *Shop) form(r *request, l *onsale.Layout) (*holds.Form, error) {
	if form := s.plainForm(l, r.ctx.PostBody()); form != nil {
		return form, nil
	}
	lines, err := r.readAsks()
	if err != nil {
		return nil, err
	}
	asks, err := l.CheckAsks(lines)
	if err != nil {
		return nil, err
	}
	return holds.NewForm(asks), nil
}

// heldEvent returns the layout of the event that a hold's id names.
func (s *Shop) heldEvent(r *request, id onsale.HoldID) (*onsale.Layout, error) {
	event, _, ok := id.Parse()
	if ok {
		if l, err := s.Catalog.Layout(r.life, event); err == nil {
			return l, nil
		}
	}
	return nil, onsale.Refuse(onsale.CodeUnknownHold, "no such hold of yours")
}

func (s *Shop) getHold(r *request) error {
	id := onsale.HoldID(r.param)
	l, err := s.heldEvent(r, id)
	if err != nil {
		return err
	}
	hold, err := s.Desk.Look(r.context(), l, id, r.buyer)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, hold)
}

func (s *Shop) releaseHold(r *request) error {
	id := onsale.HoldID(r.param)
	l, err := s.heldEvent(r, id)
	if err != nil {
		return err
	}
	generation, err := r.generation()
	if err != nil {
		return err
	}
	if err := s.Desk.Release(r.context(), l, id, r.buyer, generation); err != nil {
		return err
	}
	return r.noContent()
}

func (s *Shop) extendHold(r *request) error {
	id := onsale.HoldID(r.param)
	l, err := s.heldEvent(r, id)
	if err != nil {
		return err
	}
	generation, err := r.generation()
	if err != nil {
		return err
	}
	hold, err := s.Desk.Extend(r.context(), l, id, r.buyer, generation)
	if err != nil {
		return err
	}
	return r.reply(http.StatusOK, hold)
}

// generation is the hold's generation as the buyer knows it; 0, any, if not said.
func (r *request) generation() (uint64, error) {
	text := r.ctx.QueryArgs().Peek("generation")
	if len(text) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, onsale.Refuse(onsale.CodeBadRequest, "generation must be a number, as the hold gives it")
	}
	return n, nil
}

func (s *Shop) checkout(r *request) error {
	id := onsale.HoldID(r.param)
	l, err := s.heldEvent(r, id)
	if err != nil {
		return err
	}
	var body struct {
		PaymentToken string `json:"payment_token"`
		Generation   uint64 `json:"generation"`
	}
	if err := r.read(&body); err != nil {
		return err
	}
	if _, err := r.key(); err != nil { // a hold becomes one order at the most, with a key or without
		return err
	}
	order, err := s.Till.Accept(r.context(), l, checkout.Request{Hold: id, Buyer: r.buyer, Generation: body.Generation, PaymentToken: body.PaymentToken})
	if err != nil {
		return err
	}
	return r.created(http.StatusAccepted, "/v1/orders/"+string(order.ID), order)
}

// paymentWebhook takes the provider's answer to a charge, when it comes by itself.
// It is handed to settlement, which takes each answer once however often it comes.
// A refund that may have failed is looked at: the provider is asked, as always.
// What says nothing of an order of ours is taken too: sent again, it would say no more.
func (s *Shop) paymentWebhook(r *request) error {
	if s.Notices == nil {
		return onsale.Refuse(onsale.CodeForbidden, "no webhook secret is set here")
	}
	signature := string(r.ctx.Request.Header.Peek(s.Notices.Header()))
	notice, err := s.Notices.Read(signature, r.ctx.PostBody(), time.Now())
	switch {
	case onsale.CodeOf(err) == onsale.CodeUnauthenticated:
		return onsale.Refuse(onsale.CodeUnauthenticated, "the notice is not signed by the payment provider, or too old")
	case err != nil:
		return err
	case notice.Charge != nil:
		err = s.Till.ReportResult(r.context(), *notice.Charge)
	case notice.Refund != "":
		err = s.Store.LookAtRefund(r.context(), notice.Refund)
	}
	if err != nil {
		return err
	}
	return r.noContent()
}
