package bench

// What the fake does for a buyer: holds, checkout, orders and tickets.

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"onsale"
)

func (f *fake) createHold(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Lines []onsale.Line `json:"lines"`
	}
	err := json.NewDecoder(r.Body).Decode(&ask)
	buyer, key := onsale.BuyerID(bearer(r)), r.Header.Get("Idempotency-Key")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reap()
	f.asked, f.keys = append(f.asked, time.Now()), append(f.keys, key)
	if f.busy > 0 {
		f.busy--
		f.refuse(w, 503, onsale.CodeOverloaded)
		return
	}
	if f.taken > 0 {
		f.taken--
		f.refuse(w, 409, onsale.CodeSeatTaken)
		return
	}
	if f.event.Sale != onsale.SaleOpen {
		f.refuse(w, 409, onsale.CodeNotOnSale)
		return
	}
	id := onsale.NewHoldIDs(nil).Derive(f.event.ID, f.epoch, buyer, key)
	if f.breaks.holdsAnewPerRequest {
		id = onsale.NewHoldID(f.event.ID, f.epoch)
	}
	if known := f.holds[id]; known != nil {
		f.answer(w, 201, known)
		return
	}
	if status, code := f.beyond(buyer, onsale.Quantity(ask.Lines)); code != "" {
		f.refuse(w, status, code)
		return
	}
	for i := range ask.Lines {
		if code := f.chooseBest(&ask.Lines[i]); code != "" {
			f.refuse(w, 409, code)
			return
		}
	}
	amount, bad := f.layout.CheckLines(ask.Lines)
	if err != nil || bad != nil {
		f.refuse(w, 400, onsale.CodeBadRequest)
		return
	}
	for _, line := range ask.Lines {
		if code := f.missing(line); code != "" {
			f.refuse(w, 409, code)
			return
		}
	}
	hold := &onsale.Hold{ID: id, Event: f.event.ID, State: onsale.HoldHeld, Generation: 1, Lines: ask.Lines, Amount: amount,
		Currency: f.event.Currency, Buyer: buyer, ExpiresAt: time.Now().Add(f.event.HoldTime())}
	f.holds[id] = hold
	f.grants[buyer]++
	f.change(hold, onsale.HoldHeld)
	if f.breaks.grantsOtherSeats {
		told := *hold
		told.Lines = []onsale.Line{{Section: "floor", Quantity: 7}}
		hold = &told
	}
	f.answer(w, 201, hold)
}

// beyond says why a buyer may not have so many admissions more. It is called with mu.
func (f *fake) beyond(buyer onsale.BuyerID, admissions int) (status int, code onsale.Code) {
	if !f.limits {
		return 0, ""
	}
	has := 0
	for _, h := range f.holds {
		if h.Buyer == buyer && (h.State == onsale.HoldHeld || h.State == onsale.HoldPinned || h.State == onsale.HoldSold) {
			has += onsale.Quantity(h.Lines)
		}
	}
	switch {
	case f.grants[buyer] == f.event.HoldsPerMinute:
		return http.StatusTooManyRequests, onsale.CodeTooOften
	case has+admissions > f.event.MaxPerBuyer:
		return http.StatusConflict, onsale.CodeBuyerLimit
	}
	return 0, ""
}

// chooseBest names the seats of a line that asks for the best available, or says why it
// can't be had. It is called with mu.
func (f *fake) chooseBest(line *onsale.Line) onsale.Code {
	section := f.layout.Section(line.Section)
	if section == nil || section.Kind == onsale.General || line.Seats != nil {
		return ""
	}
	shown := &f.view.Sections[section.Index]
	first := strings.Index(shown.Seats, strings.Repeat(string(onsale.SeatAvailable), line.Quantity))
	switch {
	case shown.Available < int64(line.Quantity):
		return onsale.CodeSoldOut
	case first < 0:
		return onsale.CodeNotTogether
	}
	last := strings.LastIndexByte(shown.Seats, onsale.SeatAvailable)
	for n := range line.Quantity {
		at := first + n
		if f.breaks.partsTheBest && n > 0 && last > at+1 {
			at = last // and one of two or three is somewhere else
		}
		line.Seats = append(line.Seats, section.Seat(section.Start+at))
	}
	return ""
}

// missing says why a line can't be had. It is called with mu.
func (f *fake) missing(line onsale.Line) onsale.Code {
	section := f.layout.Section(line.Section)
	shown := &f.view.Sections[section.Index]
	if section.Kind == onsale.General {
		if shown.Available < int64(line.Quantity) || f.breaks.refusesWhatIsLeft {
			return onsale.CodeSoldOut
		}
		return ""
	}
	for _, seat := range line.Seats {
		if offset, _ := section.Offset(seat); shown.Seats[offset-section.Start] != onsale.SeatAvailable && !f.breaks.sellsSeatsTwice {
			return onsale.CodeSeatTaken
		}
	}
	return ""
}

func (f *fake) reap() { // with mu
	for _, h := range f.holds {
		ends := h.ExpiresAt
		if f.breaks.endsHoldsEarly {
			ends = ends.Add(-f.event.HoldTime() * 199 / 200)
		}
		if h.State == onsale.HoldHeld && time.Now().After(ends) && !f.breaks.neverExpires {
			h.State = onsale.HoldExpired
			f.change(h, onsale.HoldExpired)
		}
	}
}

func (f *fake) getHold(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reap()
	f.answer(w, 200, f.holds[onsale.HoldID(r.PathValue("hold"))])
}

func (f *fake) releaseHold(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.holds[onsale.HoldID(r.PathValue("hold"))]
	h.State = onsale.HoldReleased
	f.change(h, onsale.HoldReleased)
	f.answer(w, 204, nil)
}

func (f *fake) checkout(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		PaymentToken string `json:"payment_token"`
	}
	err := json.NewDecoder(r.Body).Decode(&ask)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reap()
	h := f.holds[onsale.HoldID(r.PathValue("hold"))]
	if err != nil || h == nil || f.breaks.deniesHolds {
		f.refuse(w, 410, onsale.CodeHoldEnded)
		return
	}
	if known := f.orders[h.ID.Order()]; known != nil {
		f.answer(w, 202, known)
		return
	}
	if h.State != onsale.HoldHeld {
		f.refuse(w, 410, onsale.CodeHoldEnded)
		return
	}
	if f.breaks.refusesPayment {
		f.refuse(w, 400, onsale.CodeBadRequest)
		return
	}
	h.State = onsale.HoldPinned
	f.change(h, onsale.HoldPinned)
	order := &onsale.Order{ID: h.ID.Order(), Event: h.Event, Hold: h.ID, Buyer: h.Buyer, State: onsale.OrderAccepted,
		Lines: h.Lines, Amount: h.Amount, Currency: h.Currency, AcceptedAt: time.Now(), UpdatedAt: time.Now()}
	f.answer(w, 202, order)
	if f.breaks.forgetsOrders {
		return
	}
	f.orders[order.ID] = order
	if !f.breaks.neverSettles {
		f.settling.Go(func() { f.settle(h, order, ask.PaymentToken) })
	}
}

func (f *fake) settle(h *onsale.Hold, order *onsale.Order, token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	order.State, h.State = onsale.OrderTicketed, onsale.HoldSold
	if late := isLate(token); late || strings.HasSuffix(token, "decline") {
		if late {
			f.payLate(order)
		}
		order.State, h.State = onsale.OrderDeclined, onsale.HoldReleased
	}
	f.change(h, h.State)
	told := order.State
	if f.breaks.tellsLies {
		told = onsale.OrderRejected
	}
	for c := range f.clients {
		if c.buyer == string(h.Buyer) {
			c.send(onsale.FeedOrder{Type: onsale.FrameOrder, Order: order.ID, Hold: h.ID, State: told, At: time.Now()})
		}
	}
}

func (f *fake) getOrder(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.orders[onsale.OrderID(r.PathValue("order"))]; o != nil {
		f.answer(w, 200, o)
		return
	}
	f.refuse(w, 404, onsale.CodeUnknownOrder)
}

func (f *fake) tickets(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.orders[onsale.OrderID(r.PathValue("order"))]
	var tickets []onsale.Ticket
	for n := range onsale.Quantity(o.Lines) {
		if f.breaks.repeatsTickets {
			n = 0
		}
		tickets = append(tickets, onsale.Ticket{ID: o.ID.Ticket(n + 1), Order: o.ID, Event: o.Event, Section: o.Lines[0].Section, Code: "code"})
	}
	f.answer(w, 200, map[string]any{"tickets": tickets})
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}
