package persist

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"onsale"
)

func TestPagesOfOrdersGiveEachOnceNewestFirst(t *testing.T) {
	b := newBook(t)
	buyer, start := onsale.NewBuyerID(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var want []onsale.OrderID
	for i := range 7 {
		p := b.purchase(floor(1))
		p.Buyer, p.At = buyer, start.Add(time.Duration(i/2)*time.Microsecond) // pairs are of the same instant
		want = append(want, p.Order)
		b.claim(p, b.purchase(stalls(fmt.Sprintf("A-%d", i+1))))
	}
	slices.SortFunc(want, func(x, y onsale.OrderID) int {
		a, err := b.Order(t.Context(), x)
		c, err2 := b.Order(t.Context(), y)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if n := c.AcceptedAt.Compare(a.AcceptedAt); n != 0 {
			return n
		}
		if y > x {
			return 1
		}
		return -1
	})
	for _, limit := range []int{1, 2, 3, 7, 100} {
		var got []onsale.OrderID
		cursor, pages := "", 0
		for {
			page, next, err := b.Orders(t.Context(), buyer, limit, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				got = append(got, o.ID)
			}
			if pages++; next == "" || pages > 10 {
				break
			}
			cursor = next
		}
		if !reflect.DeepEqual(got, want) || pages != (len(want)+limit-1)/limit {
			t.Errorf("limit %d: %d pages\ngot  %v\nwant %v", limit, pages, got, want)
		}
	}
}

func TestCursorThatIsNotOneIsRefused(t *testing.T) {
	b := newBook(t)
	for _, cursor := range []string{"x", "!!", "MSAy", "Zm9vIG9yZF9nYWxh"} {
		if _, _, err := b.Orders(t.Context(), onsale.NewBuyerID(), 10, cursor); onsale.CodeOf(err) != onsale.CodeBadRequest {
			t.Errorf("cursor %q: %v, want bad_request", cursor, err)
		}
	}
}

func TestUnknownOrderIsRefusedAndHasNoTickets(t *testing.T) {
	b := newBook(t)
	p := b.purchase(floor(1))
	if _, err := b.Order(t.Context(), p.Order); onsale.CodeOf(err) != onsale.CodeUnknownOrder {
		t.Errorf("got %v, want unknown_order", err)
	}
	if _, err := b.Tickets(t.Context(), "ord_x"); onsale.CodeOf(err) != onsale.CodeUnknownOrder {
		t.Errorf("got %v, want unknown_order", err)
	}
	b.claim(p)
	if tickets, err := b.Tickets(t.Context(), p.Order); err != nil || len(tickets) != 0 {
		t.Errorf("%d tickets before it is ticketed, %v", len(tickets), err)
	}
}

func TestStockViewIsWhatLiveOrdersOwn(t *testing.T) {
	b := newBook(t)
	sold, open, gone, never := b.purchase(stalls("B-2", "A-1"), floor(2)), b.purchase(floor(1)), b.purchase(stalls("A-2")), b.purchase(stalls("A-1"))
	b.claim(sold, open, gone, never)
	b.finalise(captured(sold), declined(gone))
	if _, err := b.RaiseEpoch(t.Context(), "gala"); err != nil {
		t.Fatal(err)
	}
	view, err := b.StockView(t.Context(), "gala")
	if err != nil {
		t.Fatal(err)
	}
	if view.Event.Epoch != 1 || view.Event.Capacity() != 40 {
		t.Errorf("event %+v", view.Event)
	}
	got := map[onsale.OrderID]onsale.Order{}
	for _, o := range view.Orders {
		got[o.ID] = o
	}
	if len(got) != 2 || len(view.Orders) != 2 {
		t.Fatalf("%d orders, want the two that own something: %+v", len(view.Orders), view.Orders)
	}
	for p, want := range map[*onsale.Purchase]onsale.Order{
		&sold: {State: onsale.OrderTicketed, Lines: []onsale.Line{{Section: "floor", Quantity: 2}, {Section: "stalls", Quantity: 2, Seats: []string{"A-1", "B-2"}}}},
		&open: {State: onsale.OrderClaimed, Lines: []onsale.Line{{Section: "floor", Quantity: 1}}},
	} {
		o := got[p.Order]
		if o.State != want.State || o.Buyer != p.Buyer || o.Hold != p.Hold || o.Amount != p.Amount || !reflect.DeepEqual(o.Lines, want.Lines) {
			t.Errorf("got %+v, want of %+v: %+v", o, p, want)
		}
	}
	if _, err := b.StockView(t.Context(), "nowhere"); onsale.CodeOf(err) != onsale.CodeUnknownEvent {
		t.Errorf("got %v, want unknown_event", err)
	}
}
