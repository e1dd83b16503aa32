package engine

import (
	"net/http"

	"onsale"
)

// askRefund notes a refund; a worker has it made. Where it has come to is listed.
func (s *Shop) askRefund(r *request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	var ask onsale.RefundRequest
	if err := r.read(&ask); err != nil {
		return err
	}
	entry, err := s.Store.AskRefund(r.context(), onsale.OrderID(r.param), key, ask)
	if err != nil {
		return err
	}
	return r.created(http.StatusAccepted, "/v1/admin/orders/"+r.param+"/refunds", entry)
}

// listRefunds lists an order's refunds, and those of captures that bought nothing.
func (s *Shop) listRefunds(r *request) error {
	refunds, err := s.Store.Refunds(r.context(), onsale.OrderID(r.param))
	if err != nil {
		return err
	}
	if len(refunds) == 0 { // of no order there is none either: which is it?
		if _, err := s.Store.Order(r.context(), onsale.OrderID(r.param)); err != nil {
			return err
		}
	}
	return r.reply(http.StatusOK, map[string]any{"refunds": append([]onsale.RefundEntry{}, refunds...)})
}
