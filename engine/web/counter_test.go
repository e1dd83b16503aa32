package web_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"onsale"
)

// The office's counter: the operations of the API that a buyer's page uses.

func (o *office) createSession(w http.ResponseWriter, _ *http.Request) {
	buyer := onsale.NewBuyerID()
	answer(w, http.StatusCreated, map[string]any{"token": "token-of-" + string(buyer), "buyer": buyer,
		"expires_at": o.now().Add(onsale.SessionTime)})
}

func (o *office) buyer(r *http.Request) (onsale.BuyerID, error) {
	text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return buyerOf(text)
}

func buyerOf(token string) (onsale.BuyerID, error) {
	text, ok := strings.CutPrefix(token, "token-of-")
	if buyer := onsale.BuyerID(text); ok && buyer.Valid() {
		return buyer, nil
	}
	return "", onsale.Refuse(onsale.CodeUnauthenticated, "sign in")
}

func (o *office) listEvents(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, left := o.layout.Event, int64(0)
	for _, c := range o.stock.Counts {
		left += c.Available
	}
	answer(w, http.StatusOK, map[string]any{"events": []any{map[string]any{
		"id": e.ID, "name": e.Name, "venue": e.Venue, "starts_at": e.StartsAt, "currency": e.Currency,
		"sale": o.stock.Sale, "capacity": e.Capacity(), "available": left,
	}}})
}

func (o *office) getEvent(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("event") != string(o.layout.Event.ID) {
		refused(w, onsale.Refuse(onsale.CodeUnknownEvent, "no such event"))
		return
	}
	answer(w, http.StatusOK, o.layout.Event)
}

func (o *office) createHold(w http.ResponseWriter, r *http.Request) {
	buyer, err := o.buyer(r)
	if err != nil {
		refused(w, err)
		return
	}
	var request struct{ Lines []onsale.Line }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refused(w, onsale.Refuse(onsale.CodeBadRequest, err.Error()))
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := string(buyer) + " " + r.Header.Get("Idempotency-Key")
	if id, ok := o.keys[key]; ok {
		answer(w, http.StatusCreated, o.holds[id])
		return
	}
	if err := o.nextRefusal(); err != nil {
		refused(w, err)
		return
	}
	for i := range request.Lines {
		o.chooseBest(&request.Lines[i])
	}
	hold, err := o.hold(buyer, request.Lines)
	if err != nil {
		refused(w, err)
		return
	}
	o.keys[key] = hold.ID
	w.Header().Set("Location", "/v1/holds/"+string(hold.ID))
	answer(w, http.StatusCreated, hold)
}

// chooseBest picks the first seats that are free, where a quantity of a reserved section is
// asked for.
func (o *office) chooseBest(line *onsale.Line) {
	s := o.layout.Section(line.Section)
	if s == nil || s.Kind != onsale.Reserved || len(line.Seats) > 0 {
		return
	}
	for offset := s.Start; offset < s.End && len(line.Seats) < line.Quantity; offset++ {
		if o.stock.Seats[offset] == onsale.SeatAvailable {
			line.Seats = append(line.Seats, s.Seat(offset))
		}
	}
}

func (o *office) nextRefusal() error {
	if len(o.refusals) == 0 {
		return nil
	}
	err := o.refusals[0]
	o.refusals = o.refusals[1:]
	return err
}

func (o *office) getHold(w http.ResponseWriter, r *http.Request) {
	o.withHold(w, r, func(h *onsale.Hold) { answer(w, http.StatusOK, h) })
}

func (o *office) releaseHold(w http.ResponseWriter, r *http.Request) {
	o.withHold(w, r, func(h *onsale.Hold) {
		if h.State == onsale.HoldHeld {
			h.State = onsale.HoldReleased
			o.move(h.Lines, onsale.SeatHeld, onsale.SeatAvailable)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (o *office) checkout(w http.ResponseWriter, r *http.Request) {
	o.withHold(w, r, func(h *onsale.Hold) {
		if err := o.nextRefusal(); err != nil {
			refused(w, err)
			return
		}
		order := o.orders[h.ID.Order()]
		if order == nil {
			if h.State != onsale.HoldHeld {
				refused(w, onsale.Refuse(onsale.CodeHoldEnded, "the hold has ended"))
				return
			}
			h.State = onsale.HoldPinned
			o.move(h.Lines, onsale.SeatHeld, onsale.SeatPinned)
			order = &onsale.Order{ID: h.ID.Order(), Event: h.Event, Hold: h.ID, Buyer: h.Buyer, State: onsale.OrderAccepted,
				Lines: h.Lines, Amount: h.Amount, Currency: h.Currency, AcceptedAt: o.now(), UpdatedAt: o.now()}
			o.orders[order.ID] = order
		}
		w.Header().Set("Location", "/v1/orders/"+string(order.ID))
		answer(w, http.StatusAccepted, order)
	})
}

func (o *office) withHold(w http.ResponseWriter, r *http.Request, then func(*onsale.Hold)) {
	buyer, err := o.buyer(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	hold := o.holds[onsale.HoldID(r.PathValue("hold"))]
	switch {
	case err != nil:
		refused(w, err)
	case hold == nil || hold.Buyer != buyer:
		refused(w, onsale.Refuse(onsale.CodeUnknownHold, "no such hold"))
	default:
		then(hold)
	}
}

func (o *office) listOrders(w http.ResponseWriter, r *http.Request) {
	buyer, err := o.buyer(r)
	if err != nil {
		refused(w, err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	mine := slices.DeleteFunc(slices.Collect(maps.Values(o.orders)), func(order *onsale.Order) bool { return order.Buyer != buyer })
	slices.SortFunc(mine, func(a, b *onsale.Order) int {
		return cmp.Or(b.AcceptedAt.Compare(a.AcceptedAt), cmp.Compare(a.ID, b.ID))
	})
	answer(w, http.StatusOK, map[string]any{"orders": append([]*onsale.Order{}, mine...)})
}

func (o *office) getOrder(w http.ResponseWriter, r *http.Request) {
	o.withOrder(w, r, func(order *onsale.Order) { answer(w, http.StatusOK, order) })
}

func (o *office) listTickets(w http.ResponseWriter, r *http.Request) {
	o.withOrder(w, r, func(order *onsale.Order) {
		tickets := []onsale.Ticket{}
		if order.State == onsale.OrderTicketed {
			tickets = ticketsOf(order)
		}
		answer(w, http.StatusOK, map[string]any{"tickets": tickets})
	})
}

func ticketsOf(order *onsale.Order) []onsale.Ticket {
	var tickets []onsale.Ticket
	for _, line := range order.Lines {
		for i := range line.Quantity {
			t := onsale.Ticket{ID: order.ID.Ticket(len(tickets) + 1), Order: order.ID, Event: order.Event, Section: line.Section,
				State: onsale.TicketValid, Serial: 1, IssuedAt: order.UpdatedAt}
			if len(line.Seats) > 0 {
				t.Seat = line.Seats[i]
			}
			t.Sign(onsale.TicketKey([]byte("the office's secret")))
			tickets = append(tickets, t)
		}
	}
	return tickets
}

func (o *office) withOrder(w http.ResponseWriter, r *http.Request, then func(*onsale.Order)) {
	buyer, err := o.buyer(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	order := o.orders[onsale.OrderID(r.PathValue("order"))]
	switch {
	case err != nil:
		refused(w, err)
	case order == nil || order.Buyer != buyer:
		refused(w, onsale.Refuse(onsale.CodeUnknownOrder, "no such order"))
	default:
		then(order)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(fmt.Sprintf("writing an answer: %v", err))
	}
}
