package simulator

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

// silence is how long a charge that is never answered keeps its connection, if the
// client has more patience than any client should.
const silence = time.Minute

// Why a charge was not made.
var (
	errKeyReused = errors.New("the key was used for another charge")
	errFailed    = errors.New("the provider failed before charging")
	errStopping  = errors.New("the provider is stopping")
)

func (s *Simulator) postCharge(w http.ResponseWriter, r *http.Request) {
	order := onsale.OrderID(r.Header.Get(payment.KeyHeader))
	var request payment.ChargeRequest
	if err := decode(r, &request); err != nil {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, err.Error())
		return
	}
	if detail := wrong(order, request); detail != "" {
		refuse(w, http.StatusBadRequest, onsale.CodeBadRequest, detail)
		return
	}
	entry, then, err := s.charge(r.Context(), order, request)
	switch {
	case errors.Is(err, errKeyReused):
		refuse(w, http.StatusUnprocessableEntity, onsale.CodeKeyReused, err.Error())
	case errors.Is(err, errStopping):
		refuse(w, http.StatusServiceUnavailable, onsale.CodeUnavailable, err.Error())
	case err != nil:
		refuse(w, http.StatusInternalServerError, onsale.CodeInternal, err.Error())
	case then == thenFail:
		refuse(w, http.StatusInternalServerError, onsale.CodeInternal, "something went wrong")
	case then == thenSilence:
		s.waitFor(r.Context(), silence)
		panic(http.ErrAbortHandler) // ends the connection without an answer
	default:
		answer(w, entry.result)
	}
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

// charge charges an order unless it was charged before, in which case it returns
// what is on record. When it returns an entry, the ledger has it. It goes on if the
// client leaves in the middle, as providers do.
func (s *Simulator) charge(ctx context.Context, order onsale.OrderID, request payment.ChargeRequest) (entry, then, error) {
	if err := s.keys.lock(ctx, order); err != nil {
		return entry{}, thenAnswer, err
	}
	defer s.keys.unlock(order)

	if known, ok := s.ledger.find(order); ok {
		if known.request != request {
			return entry{}, thenAnswer, errKeyReused
		}
		return known, thenAnswer, nil
	}
	fate := s.currentBehaviour().fate(order, request.PaymentToken, s.keys.failures(order))
	if fate.failBefore {
		s.keys.fail(order)
		return entry{}, thenAnswer, errFailed
	}
	if !s.waitFor(context.WithoutCancel(ctx), fate.delay) {
		return entry{}, thenAnswer, errStopping
	}
	made, err := s.ledger.record(order, request, fate.outcome, fate.reason)
	if err != nil {
		return entry{}, thenAnswer, err
	}
	s.keys.forget(order)
	for range fate.notices {
		s.notifier.send(made.result)
	}
	return made, fate.then, nil
}

// waitFor returns true when the time has passed, false if ctx or the simulator ends first.
func (s *Simulator) waitFor(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.stopping.Done():
	}
	return false
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
