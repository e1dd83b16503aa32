package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"onsale"
)

// The office's stock, and how it changes: always by a move of admissions from one
// state to another, which is told to the feeds as one delta. All of it is called
// with o.mu held, but for the methods that tests call, at the end.

var statuses = map[onsale.Code]int{
	onsale.CodeBadRequest: 400, onsale.CodeBadQuantity: 400, onsale.CodeUnauthenticated: 401, onsale.CodeUnknownEvent: 404,
	onsale.CodeUnknownSection: 404, onsale.CodeUnknownSeat: 404, onsale.CodeUnknownHold: 404, onsale.CodeUnknownOrder: 404, onsale.CodeUnknownTicket: 404,
	onsale.CodeSoldOut: 409, onsale.CodeSeatTaken: 409, onsale.CodeBuyerLimit: 409, onsale.CodeNotOnSale: 409, onsale.CodeNotTogether: 409,
	onsale.CodeHoldEnded: 410, onsale.CodeOverloaded: 503, onsale.CodeRecovering: 503, onsale.CodeUnavailable: 503,
}

func refused(w http.ResponseWriter, err error) {
	var refusal *onsale.Error
	status, known := statuses[onsale.CodeOf(err)]
	if !errors.As(err, &refusal) || !known {
		panic("the office has no status for " + err.Error())
	}
	fields, err := json.Marshal(refusal)
	if err != nil {
		panic(err)
	}
	problem := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status}
	if err := json.Unmarshal(fields, &problem); err != nil {
		panic(err)
	}
	if refusal.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem) // a browser that went away is no failure of the office
}

// hold gives the lines to the buyer, or says what is in the way.
func (o *office) hold(buyer onsale.BuyerID, lines []onsale.Line) (*onsale.Hold, error) {
	amount, err := o.layout.CheckLines(lines)
	if err != nil {
		return nil, err
	}
	if o.stock.Sale != onsale.SaleOpen {
		return nil, onsale.Refuse(onsale.CodeNotOnSale, "the sale is not open")
	}
	for _, line := range lines {
		if err := o.isFree(line); err != nil {
			return nil, err
		}
	}
	h := &onsale.Hold{ID: onsale.NewHoldID(o.stock.Event, o.stock.Epoch), Event: o.stock.Event, State: onsale.HoldHeld, Generation: 1,
		ExpiresAt: o.now().Add(o.layout.Event.HoldTime()), Lines: lines, Amount: amount, Currency: o.layout.Event.Currency, Buyer: buyer}
	o.holds[h.ID] = h
	o.move(lines, onsale.SeatAvailable, onsale.SeatHeld)
	return h, nil
}

func (o *office) isFree(line onsale.Line) error {
	section := o.layout.Section(line.Section)
	if left := o.stock.Counts[section.Index].Available; left < int64(line.Quantity) && len(line.Seats) == 0 {
		return &onsale.Error{Code: onsale.CodeSoldOut, Detail: "fewer are left", Section: line.Section, Available: &left}
	}
	var taken []string
	for _, seat := range line.Seats {
		if offset, _ := section.Offset(seat); o.stock.Seats[offset] != onsale.SeatAvailable {
			taken = append(taken, seat)
		}
	}
	if len(taken) > 0 {
		return &onsale.Error{Code: onsale.CodeSeatTaken, Detail: "taken", Section: line.Section, Seats: taken}
	}
	return nil
}

// reap lets holds end whose time is over.
func (o *office) reap() {
	for _, h := range o.holds {
		if h.State == onsale.HoldHeld && !h.ExpiresAt.After(o.now()) {
			h.State = onsale.HoldExpired
			o.move(h.Lines, onsale.SeatHeld, onsale.SeatAvailable)
		}
	}
}

// move takes admissions from one state to another, and tells the feeds.
func (o *office) move(lines []onsale.Line, from, to byte) {
	d := onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: o.stock.Epoch, From: o.stock.Seq, Seq: o.stock.Seq + 1,
		At: o.now(), Sale: o.stock.Sale, Sections: map[string]onsale.FeedChanges{}}
	for _, line := range lines {
		section := o.layout.Section(line.Section)
		counts := &o.stock.Counts[section.Index]
		*count(counts, from) -= int64(line.Quantity)
		*count(counts, to) += int64(line.Quantity)
		changes := onsale.FeedChanges{Counts: *counts}
		for _, seat := range line.Seats {
			offset, _ := section.Offset(seat)
			o.stock.Seats[offset] = to
			changes.Seats = append(changes.Seats, onsale.FeedRun{Offset: offset - section.Start, States: string(to)})
		}
		d.Sections[line.Section] = changes
	}
	o.stock.Seq, o.stock.At = d.Seq, d.At
	o.publish(d)
}

func count(c *onsale.Counts, state byte) *int64 {
	return map[byte]*int64{onsale.SeatAvailable: &c.Available, onsale.SeatHeld: &c.Held,
		onsale.SeatPinned: &c.Pinned, onsale.SeatSold: &c.Sold}[state]
}

// snapshot is the stock as the feed tells it.
func (o *office) snapshot() onsale.FeedSnapshot {
	s := onsale.FeedSnapshot{Type: onsale.FrameSnapshot, Event: o.stock.Event, Epoch: o.stock.Epoch, Seq: o.stock.Seq,
		At: o.stock.At.UTC(), Sale: o.stock.Sale}
	for _, section := range o.layout.Sections() {
		s.Sections = append(s.Sections, onsale.FeedSection{ID: section.ID, Counts: o.stock.Counts[section.Index],
			Seats: string(o.stock.Seats[section.Start:section.End])})
	}
	return s
}

// view is the snapshot at this moment.
func (o *office) view() onsale.FeedSnapshot {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.snapshot()
}

// others is what other buyers do: they move admissions from one state to another.
func (o *office) others(from, to byte, lines ...onsale.Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range lines {
		lines[i].Quantity = max(lines[i].Quantity, len(lines[i].Seats))
	}
	o.move(lines, from, to)
}

// setSale moves the sale, as an operator does.
func (o *office) setSale(sale onsale.Sale) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stock.Sale = sale
	o.move(nil, onsale.SeatAvailable, onsale.SeatAvailable)
}

// doubt says that the sale is recovering, or is not so any more, which is no change of
// the stock.
func (o *office) doubt(sale onsale.Sale) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stock.Sale = sale
	o.publish(onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: o.stock.Epoch, From: o.stock.Seq, Seq: o.stock.Seq,
		At: o.stock.At, Sale: sale, Sections: map[string]onsale.FeedChanges{}})
}

// advance takes the only order that is under way to the next states, with all
// that follows from each.
func (o *office) advance(states ...onsale.OrderState) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, order := range o.orders {
		if order.State.Final() {
			continue
		}
		for _, next := range states {
			if !order.State.CanBecome(next) {
				o.t.Errorf("an order can't go from %s to %s", order.State, next)
			}
			order.State, order.UpdatedAt = next, o.now().Truncate(time.Millisecond)
			o.settle(order)
		}
		return
	}
	o.t.Error("no order is under way")
}

func (o *office) settle(order *onsale.Order) {
	hold := o.holds[order.Hold]
	switch order.State {
	case onsale.OrderTicketed:
		hold.State = onsale.HoldSold
		o.move(order.Lines, onsale.SeatPinned, onsale.SeatSold)
	case onsale.OrderDeclined, onsale.OrderRejected:
		order.Reason, hold.State = "insufficient_funds", onsale.HoldReleased
		o.move(order.Lines, onsale.SeatPinned, onsale.SeatAvailable)
	}
	o.tell(order)
}
