package simulator

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"onsale"
	"onsale/checkout/payment"
)

// Why something was not done.
var (
	errKeyReused     = errors.New("the key was used for another charge")
	errNotAuthorised = errors.New("nothing was set aside for this order")
	errInvalidToken  = errors.New("nobody issued this payment token")
	errFailed        = errors.New("the provider failed before doing anything")
	errStopping      = errors.New("the provider is stopping")
)

// tokenInvalid is the token that is refused for good.
const tokenInvalid = "tok_invalid"

// postCharge charges or, if outcome is authorised, sets the money aside.
func (s *Simulator) postCharge(outcome onsale.ChargeOutcome) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order := onsale.OrderID(r.Header.Get(payment.KeyHeader))
		s.serve(w, r, order, func(ctx context.Context, request payment.ChargeRequest) (any, then, error) {
			e, then, err := s.charge(ctx, order, request, outcome)
			return e.result, then, err
		})
	}
}

// postChange captures or voids what is on record of the order in the path.
func (s *Simulator) postChange(
	change func(context.Context, onsale.OrderID, payment.ChargeRequest) (entry, then, error),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order := onsale.OrderID(r.PathValue("order"))
		s.serve(w, r, order, func(ctx context.Context, request payment.ChargeRequest) (any, then, error) {
			e, then, err := change(ctx, order, request)
			return e.result, then, err
		})
	}
}

// serve reads a request about an order's charge, has it done, and answers.
func (s *Simulator) serve(
	w http.ResponseWriter, r *http.Request, order onsale.OrderID,
	do func(context.Context, payment.ChargeRequest) (any, then, error),
) {
	var request payment.ChargeRequest
	if err := decode(r, &request); err != nil {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, err.Error())
		return
	}
	if detail := wrong(order, request); detail != "" {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, detail)
		return
	}
	body, then, err := do(r.Context(), request)
	s.reply(w, r, body, then, err)
}

// wrong returns what is wrong with a request, "" if nothing is.
func wrong(order onsale.OrderID, r payment.ChargeRequest) string {
	event, _, ok := order.Parse()
	switch {
	case !ok:
		return payment.KeyHeader + " must be an order's id"
	case event != r.Event:
		return "event is not the order's"
	case r.Amount < 0 || r.Currency == "" || r.PaymentToken == "":
		return "amount, currency and payment_token are required"
	}
	return ""
}

// charge charges an order, or sets its money aside, unless the order is on record:
// then it returns what is. When it returns an entry, the ledger has it. It goes on if
// the client leaves in the middle, as providers do.
func (s *Simulator) charge(
	ctx context.Context, order onsale.OrderID, request payment.ChargeRequest, outcome onsale.ChargeOutcome,
) (entry, then, error) {
	if err := s.keys.lock(ctx, order); err != nil {
		return entry{}, thenAnswer, err
	}
	defer s.keys.unlock(order)

	if known, ok := s.ledger.find(order); ok {
		if known.request != request || known.authorisedFirst != (outcome == onsale.ChargeAuthorised) && !known.voidedFirst {
			return entry{}, thenAnswer, errKeyReused
		}
		return known, thenAnswer, nil
	}
	if request.PaymentToken == tokenInvalid {
		return entry{}, thenAnswer, errInvalidToken
	}
	fate := s.currentBehaviour().fate(order, request.PaymentToken, s.keys.failures(string(order)))
	if fate.outcome == onsale.ChargeCaptured {
		fate.outcome = outcome
	}
	made, err := s.do(ctx, string(order), fate, func() (entry, error) {
		return s.ledger.record(order, request, fate.outcome, fate.reason)
	})
	if err != nil {
		return entry{}, thenAnswer, err
	}
	if fate.outcome != onsale.ChargeAuthorised { // which is no end, so nobody is told
		for range fate.notices {
			s.notifier.send(made.result)
		}
	}
	return made, fate.then, nil
}

// capture takes the money that was set aside.
func (s *Simulator) capture(ctx context.Context, order onsale.OrderID, request payment.ChargeRequest) (entry, then, error) {
	if err := s.keys.lock(ctx, order); err != nil {
		return entry{}, thenAnswer, err
	}
	defer s.keys.unlock(order)

	known, ok := s.ledger.find(order)
	switch {
	case !ok:
		return entry{}, thenAnswer, errNotAuthorised
	case known.request != request:
		return entry{}, thenAnswer, errKeyReused
	case known.result.Outcome != onsale.ChargeAuthorised:
		return known, thenAnswer, nil
	}
	return s.end(ctx, known, onsale.ChargeCaptured, "", fate{})
}

// void calls a charge off, unless it has ended. Of an order that nobody charged it
// records that nobody will.
func (s *Simulator) void(ctx context.Context, order onsale.OrderID, request payment.ChargeRequest) (entry, then, error) {
	if err := s.keys.lock(ctx, order); err != nil {
		return entry{}, thenAnswer, err
	}
	defer s.keys.unlock(order)

	known, ok := s.ledger.find(order)
	switch {
	case !ok:
		known = entry{request: request, result: onsale.ChargeResult{Order: order}}
	case known.request != request:
		return entry{}, thenAnswer, errKeyReused
	case known.result.Outcome != onsale.ChargeAuthorised:
		return known, thenAnswer, nil
	}
	fate := s.currentBehaviour().voidFate(order, s.keys.failures("void "+string(order)))
	return s.end(ctx, known, onsale.ChargeDeclined, onsale.DeclinedVoided, fate)
}

// end records how a charge ends. The caller has the order's key.
func (s *Simulator) end(ctx context.Context, e entry, outcome onsale.ChargeOutcome, reason string, fate fate) (entry, then, error) {
	order := e.result.Order
	made, err := s.do(ctx, "void "+string(order), fate, func() (entry, error) {
		return s.ledger.record(order, e.request, outcome, reason)
	})
	if err != nil {
		return entry{}, thenAnswer, err
	}
	s.notifier.send(made.result)
	return made, fate.then, nil
}

func (s *Simulator) getCharge(w http.ResponseWriter, r *http.Request) {
	e, ok := s.ledger.find(onsale.OrderID(r.PathValue("order")))
	if !ok {
		refuse(w, http.StatusNotFound, payment.CodeUnknownCharge, "no charge is on record for this order")
		return
	}
	answer(w, e.result)
}

func (s *Simulator) getLedger(w http.ResponseWriter, r *http.Request) {
	from := 0
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, "cursor is not one that a page gave")
			return
		}
		from = n
	}
	entries, more := s.ledger.page(onsale.EventID(r.URL.Query().Get("event")), from, payment.LedgerPageEntries)
	page := payment.LedgerPage{Entries: entries}
	if more {
		page.Next = strconv.Itoa(from + len(entries))
	}
	answer(w, page)
}
