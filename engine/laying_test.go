package engine

import (
	"errors"
	"testing"
	"time"

	"onsale"
	"onsale/checkout"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/persist"
)

// beginLaying leaves the event without stock, and returns its epoch: it is the caller's to lay.
func (h *house) beginLaying() onsale.Epoch {
	h.t.Helper()
	l, err := h.shop.Catalog.Layout(h.t.Context(), "concert")
	check(h.t, err)
	for {
		epoch := must(h.shop.Store.RaiseEpoch(h.t.Context(), "concert"))
		h.loseStock()
		err := h.shop.Desk.BeginRebuild(h.t.Context(), l, epoch)
		if err == nil {
			return epoch
		}
		if !errors.Is(err, holds.ErrSuperseded) { // the house was faster
			h.t.Fatal(err)
		}
	}
}

// A purchase whose acknowledgement was in doubt reaches Kafka when its event's stock is being
// laid around a view that hasn't got it, and is ticketed before the laying ends.
func TestAnOrderThatCameToBeAfterTheViewOfItsStockIsInTheStockInTheEndKafka(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.signIn()
	early := h.mustHold(token, `{"section":"floor","quantity":1}`)
	h.buy(token, early, "tok_visa")
	late := h.mustHold(token, `{"section":"stand","seats":["A-1","A-2"]}`)
	l, err := h.shop.Catalog.Layout(t.Context(), "concert")
	check(t, err)
	buyer, err := h.shop.Sessions.Verify(token)
	check(t, err)
	pinned, err := h.shop.Desk.Pin(t.Context(), l, late.ID, buyer, 0)
	check(t, err)

	epoch := h.beginLaying()
	check(t, kafka.Drained(t.Context(), h.broker, persist.GroupClaim, onsale.TopicPurchases))
	view, err := h.shop.Store.StockView(t.Context(), "concert")
	check(t, err)
	_, issued, _ := late.ID.Parse()
	check(t, h.producer.Produce(t.Context(), kafka.Message{Topic: onsale.TopicPurchases, Key: "concert", Value: onsale.Purchase{
		Order: late.ID.Order(), Hold: late.ID, Event: "concert", Epoch: issued, Generation: pinned.Generation, Buyer: buyer,
		Lines: pinned.Lines, Amount: pinned.Amount, Currency: pinned.Currency, PaymentToken: "tok_visa", At: time.Now().UTC()}}))
	h.eventually("its news can't be told, and go round", func() bool {
		n, err := kafka.Lag(t.Context(), h.broker, "nobody", onsale.TopicLateNews)
		check(t, err)
		rest, err := kafka.Lag(t.Context(), h.broker, checkout.ConfirmerGroup, onsale.TopicOrders)
		check(t, err)
		return n > 0 && rest == 0
	})
	var kept []holds.Kept
	for _, o := range view.Orders {
		kept = append(kept, holds.Kept{Hold: o.Hold, Buyer: o.Buyer, Sold: o.State == onsale.OrderTicketed, Lines: o.Lines, AcceptedAt: o.AcceptedAt})
	}
	if len(kept) != 1 {
		t.Fatalf("the view has %+v", view.Orders)
	}
	check(t, h.shop.Desk.FinishRebuild(t.Context(), l, epoch, onsale.SaleOpen, kept))
	if report := h.audit(); len(report.Unchecked) > 0 {
		t.Errorf("unchecked %v", report.Unchecked)
	}
	if c := h.counts("stand"); c.Sold != 2 {
		t.Errorf("the stand has %+v", c)
	}
}
