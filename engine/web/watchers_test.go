package web_test

import (
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
)

// The office's feeds. A frame is written with o.mu held, which orders frames and
// is slow, and of no matter for a handful of watchers.

const frameTimeout = 5 * time.Second

// advice is within what time a bye asks clients to come back, in milliseconds.
var advice = map[int]int64{onsale.CloseRestarting: 60_000}

type watcher struct {
	conn  *websocket.Conn
	buyer onsale.BuyerID // under the office's mu; "" until it authenticated
}

func (o *office) watch(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{onsale.FeedProtocol}}
	if !slices.Contains(websocket.Subprotocols(r), onsale.FeedProtocol) {
		o.t.Errorf("a feed was opened without its subprotocol")
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // a browser that went away
	}
	me := &watcher{conn: conn}
	o.mu.Lock()
	o.sockets.Add(1)
	o.watchers[me] = true
	o.send(me, onsale.FeedHello{Type: onsale.FrameHello, ServerTime: o.now(), HeartbeatMs: 15_000})
	o.send(me, o.snapshot())
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.watchers, me)
		o.mu.Unlock()
		conn.Close()
		o.sockets.Done()
	}()
	for {
		var request onsale.FeedRequest
		if err := conn.ReadJSON(&request); err != nil {
			return
		}
		o.hear(me, request)
	}
}

func (o *office) hear(me *watcher, request onsale.FeedRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch request.Type {
	case onsale.FrameResume:
		o.requests = append(o.requests, "FEED resume")
		o.send(me, o.snapshot())
	case onsale.FrameAuth:
		o.requests = append(o.requests, "FEED auth")
		buyer, err := buyerOf(request.Token)
		if err != nil {
			o.close(me, onsale.CloseUnauthenticated)
			return
		}
		me.buyer = buyer
	case onsale.FrameHold:
		o.requests = append(o.requests, "FEED hold "+string(request.Hold))
	default:
		o.t.Errorf("a page sent a %q frame", request.Type)
	}
}

// publish sends a delta to all, unless it is to be lost.
func (o *office) publish(d onsale.FeedDelta) {
	if o.losing > 0 {
		o.losing--
		return
	}
	for w := range o.watchers {
		o.send(w, d)
	}
}

// tell sends the news of an order to its buyer.
func (o *office) tell(order *onsale.Order) {
	for w := range o.watchers {
		if w.buyer == order.Buyer && !o.silent {
			o.send(w, onsale.FeedOrder{Type: onsale.FrameOrder, Order: order.ID, Hold: order.Hold, State: order.State,
				Reason: order.Reason, At: order.UpdatedAt})
		}
	}
}

// tellHold sends the news of a hold to its buyer.
func (o *office) tellHold(buyer onsale.BuyerID, frame onsale.FeedHold) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frame.Type, frame.At = onsale.FrameHold, o.now()
	for w := range o.watchers {
		if w.buyer == buyer {
			o.send(w, frame)
		}
	}
}

// send drops a watcher that can't be written to; its reader ends with it.
func (o *office) send(w *watcher, frame any) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
		o.t.Errorf("setting a feed's deadline: %v", err)
	}
	if err := w.conn.WriteJSON(frame); err != nil {
		w.conn.Close()
	}
}

func (o *office) close(w *watcher, code int) {
	o.send(w, onsale.FeedBye{Type: onsale.FrameBye, Code: code, Reason: "as the test says", RetryWithinMs: advice[code]})
	text := websocket.FormatCloseMessage(code, "as the test says")
	_ = w.conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(frameTimeout)) // it may be gone already
	w.conn.Close()
}

// closeFeeds ends every feed with the code.
func (o *office) closeFeeds(code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for w := range o.watchers {
		o.close(w, code)
	}
}

// lose makes the next n deltas never arrive.
func (o *office) lose(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.losing += n
}

// keepQuiet makes the news of orders never arrive.
func (o *office) keepQuiet() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent = true
}

// watching is how many feeds are open.
func (o *office) watching() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.watchers)
}
