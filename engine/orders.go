package engine

import (
	"errors"
	"net/http"
	"time"

	"onsale"
)

const (
	defaultPage = 20
	maxPage     = 100
)

func (s *Shop) listOrders(r *request) error {
	limit, err := r.limit(defaultPage, maxPage)
	if err != nil {
		return err
	}
	orders, next, err := s.Store.Orders(r.context(), r.buyer, limit, string(r.ctx.QueryArgs().Peek("cursor")))
	if err != nil {
		return err
	}
	for i := range orders {
		s.sayDelayed(&orders[i])
	}
	page := struct {
		Orders []onsale.Order `json:"orders"`
		Next   string         `json:"next,omitempty"`
	}{append([]onsale.Order{}, orders...), next}
	return r.reply(http.StatusOK, page)
}

func (s *Shop) getOrder(r *request) error {
	order, err := s.order(r)
	if err != nil {
		return err
	}
	s.sayDelayed(order)
	return r.reply(http.StatusOK, order)
}

// sayDelayed notes on an order that waits for its charge that payments are delayed.
func (s *Shop) sayDelayed(o *onsale.Order) {
	if o.State.AwaitsPayment() && s.Delays.Delayed() {
		o.Payment = onsale.PaymentDelayed
	}
}

var errUnknownOrder = onsale.Refuse(onsale.CodeUnknownOrder, "no such order of yours")

// order finds one of the buyer's orders: in Postgres or, between its 202 and its
// claim, as the hold that it has pinned and that Redis knows to be accepted.
func (s *Shop) order(r *request) (*onsale.Order, error) {
	id := onsale.OrderID(r.param)
	event, _, ok := id.Parse()
	if !ok {
		return nil, errUnknownOrder
	}
	order, err := s.Store.Order(r.context(), id)
	switch {
	case err == nil && order.Buyer == r.buyer:
		return order, nil
	case err == nil:
		return nil, errUnknownOrder
	case onsale.CodeOf(err) != onsale.CodeUnknownOrder:
		return nil, err
	}
	l, err := s.Catalog.Layout(r.life, event)
	if err != nil {
		return nil, errUnknownOrder
	}
	hold, err := s.Desk.Look(r.context(), l, id.Hold(), r.buyer)
	if refused := (*onsale.Error)(nil); errors.As(err, &refused) && refused.RetryAfter > 0 {
		return nil, err // while stock is rebuilt, an order that isn't claimed yet can't be told from none
	}
	if err != nil || (hold.State != onsale.HoldPinned && hold.AcceptedAt.IsZero()) {
		// It may have been claimed since Postgres was asked.
		order, err := s.Store.Order(r.context(), id)
		if err == nil && order.Buyer == r.buyer {
			return order, nil
		}
		if err != nil && onsale.CodeOf(err) != onsale.CodeUnknownOrder {
			return nil, err
		}
		return nil, errUnknownOrder
	}
	if hold.AcceptedAt.IsZero() {
		return nil, onsale.Busy(onsale.CodeUnavailable, "whether the purchase was accepted isn't known yet; ask again", time.Second, nil)
	}
	return &onsale.Order{ID: id, Event: hold.Event, Hold: hold.ID, Buyer: r.buyer, State: onsale.OrderAccepted, Lines: hold.Lines,
		Amount: hold.Amount, Currency: hold.Currency, AcceptedAt: hold.AcceptedAt, UpdatedAt: hold.AcceptedAt}, nil
}
