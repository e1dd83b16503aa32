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
	// reasonSentBack is why a refund has failed after it was made.
	reasonSentBack = "expired_or_canceled_card"
)

// tokenRefundFails is of charges whose refunds fail after they were made.
const tokenRefundFails = "tok_refund_failed"

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
	if made.result.Outcome == onsale.RefundMade && charged.request.PaymentToken == tokenRefundFails {
		s.notifier.sendRefund(id, request.Order)
	}
	return made.result, fate.then, nil
}

// getRefund tells what has become of a refund. It is when one of tokenRefundFails fails:
// whoever never looks never knows.
func (s *Simulator) getRefund(w http.ResponseWriter, r *http.Request) {
	id := onsale.RefundID(r.PathValue("refund"))
	result, err := s.lookUpRefund(r.Context(), id)
	switch {
	case err != nil:
		s.reply(w, r, nil, thenAnswer, err)
	case result == nil:
		refuse(w, http.StatusNotFound, payment.CodeUnknownRefund, "nothing is on record under this key")
	default:
		answer(w, result)
	}
}

func (s *Simulator) lookUpRefund(ctx context.Context, id onsale.RefundID) (*onsale.RefundResult, error) {
	known, ok := s.ledger.findRefund(id)
	if !ok {
		return nil, nil //nolint:nilnil // none is on record, which is no error
	}
	order := known.request.Order
	if err := s.keys.lock(ctx, order); err != nil {
		return nil, err
	}
	defer s.keys.unlock(order)
	known, _ = s.ledger.findRefund(id) // it is on record
	charged, _ := s.ledger.find(order) // or nothing could have been paid back
	if known.result.Outcome == onsale.RefundMade && charged.request.PaymentToken == tokenRefundFails {
		if err := s.ledger.recordRefund(id, known.request, reasonSentBack); err != nil {
			return nil, err
		}
		known, _ = s.ledger.findRefund(id)
	}
	return &known.result, nil
}
