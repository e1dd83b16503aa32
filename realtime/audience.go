package realtime

import (
	"slices"
	"sync"

	"onsale"
)

// audience finds the connections of a buyer. The zero value is ready.
type audience struct {
	mu      sync.Mutex
	byBuyer map[onsale.BuyerID][]*conn // under mu
}

// bind makes the connection the buyer's, and nobody else's any more. Called by
// the connection's reader.
func (a *audience) bind(c *conn, buyer onsale.BuyerID) {
	a.unbind(c)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byBuyer == nil {
		a.byBuyer = map[onsale.BuyerID][]*conn{}
	}
	a.byBuyer[buyer] = append(a.byBuyer[buyer], c)
	c.buyer = buyer
}

// unbind makes the connection nobody's. Called by the connection's reader.
func (a *audience) unbind(c *conn) {
	if c.buyer == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	rest := slices.DeleteFunc(a.byBuyer[c.buyer], func(other *conn) bool { return other == c })
	if len(rest) == 0 {
		delete(a.byBuyer, c.buyer)
	} else {
		a.byBuyer[c.buyer] = rest
	}
	c.buyer = ""
}

// of returns the buyer's connections.
func (a *audience) of(buyer onsale.BuyerID) []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.byBuyer[buyer])
}

// TellOrder tells the order's buyer its news, on each of their connections to
// this gateway that has authenticated. It doesn't block. News that nobody is
// there to hear is not kept: who comes later asks for the order.
func (g *Gateway) TellOrder(news onsale.OrderNews) {
	g.audience.tell(news.Buyer, kindOrder, onsale.FeedOrder{
		Type: onsale.FrameOrder, Order: news.Order, Hold: news.Hold, State: news.State, Reason: news.Reason, At: news.At,
	})
}

// TellQueue tells a buyer how far they are in the queue for an event, as TellOrder tells of
// orders. Place.Type need not be set. What isn't told now is as good as told by the next.
func (g *Gateway) TellQueue(buyer onsale.BuyerID, place onsale.FeedQueue) {
	place.Type = onsale.FrameQueue
	g.audience.tell(buyer, kindQueue, place)
}

// tell gives the buyer's connections a frame, and nobody else's.
func (a *audience) tell(buyer onsale.BuyerID, k kind, message any) {
	conns := a.of(buyer)
	if len(conns) == 0 {
		return
	}
	f := textFrame(k, message)
	for _, c := range conns {
		c.owe(f)
	}
}
