package simulator

import (
	"context"
	"net/http"

	"onsale"
	"onsale/checkout/payment"
)

// Why a refund is refused, besides what Behaviour says. Each is on record, so that the
// same refund is refused for ever.
const (
	reasonUnknownCharge = payment.CodeUnknownCharge
	reasonTooMuch       = "amount_exceeds_captured"
	reasonOtherCurrency = "currency_mismatch"
)

func (s *Simulator) postRefund(w http.ResponseWriter, r *http.Request) {
	id := onsale.RefundID(r.Header.Get(payment.KeyHeader))
	var request payment.RefundRequest
	if err := decode(r, &request); err != nil {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, err.Error())
		return
	}
	if _, _, ok := request.Order.Parse(); !ok || !id.Valid() || request.Amount < 1 || request.Currency == "" {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest,
			payment.KeyHeader+" must be a refund's id, and order, amount and currency are required")
		return
	}
	result, then, err := s.refund(r.Context(), id, request)
	s.reply(w, r, result, then, err)
}

// refund pays back, unless the refund is on record: then it returns what is. When it
// returns a result, the ledger has it.
func (s *Simulator) refund(ctx context.Context, id onsale.RefundID, request payment.RefundRequest) (onsale.RefundResult, then, error) {
	if err := s.keys.lock(ctx, request.Order); err != nil {
		return onsale.RefundResult{}, thenAnswer, err
	}
	defer s.keys.unlock(request.Order)

	if known, ok := s.ledger.findRefund(id); ok {
		if known.request != request {
			return onsale.RefundResult{}, thenAnswer, errKeyReused
		}
		return known.result, thenAnswer, nil
	}
	charged, _ := s.ledger.find(request.Order) // none: of nothing nothing can be paid back
	fate := s.currentBehaviour().refundFate(id, charged.request.PaymentToken, s.keys.failures(string(id)))
	reason := fate.reason
	switch {
	case charged.captures == 0 || charged.result.Reference != request.Reference:
		reason = reasonUnknownCharge
	case charged.request.Currency != request.Currency:
		reason = reasonOtherCurrency
	case request.Amount > charged.request.Amount*int64(charged.captures)-charged.refunded:
		reason = reasonTooMuch
	}
	_, err := s.do(ctx, string(id), fate, func() (entry, error) {
		return charged, s.ledger.recordRefund(id, request, reason)
	})
	if err != nil {
		return onsale.RefundResult{}, thenAnswer, err
	}
	made, _ := s.ledger.findRefund(id) // it has just been recorded
	return made.result, fate.then, nil
}
