package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
)

const operatorToken = "operator"

// fake is a small Onsale in memory that keeps every promise, unless a test tells it to
// break one: a check that was never seen to fail proves nothing.
type fake struct {
	*httptest.Server
	breaks breakage

	mu       sync.Mutex
	event    *onsale.Event // under mu, as everything below
	layout   *onsale.Layout
	epoch    onsale.Epoch
	view     onsale.FeedSnapshot
	holds    map[onsale.HoldID]*onsale.Hold
	orders   map[onsale.OrderID]*onsale.Order
	clients  map[*fakeClient]bool
	busy     int         // how many more holds are answered 503
	taken    int         // how many more holds are answered 409
	asked    []time.Time // when holds were asked for
	keys     []string    // and under which keys
	refunds  fakeRefunds
	settling sync.WaitGroup
}

// breakage is how a fake breaks its promises.
type breakage struct {
	sellsSeatsTwice, sellsBeyondCapacity, forgetsOrders, neverSettles, tellsLies bool
	holdsAnewPerRequest, grantsOtherSeats, neverExpires, repeatsTickets          bool
	missesChange, stallsFeed, skipsDelta, dropsFeed, sendsNonsense               bool
	refusesPayment                                                               bool
	forgetsRefunds, neverRefunds, refundsAnew, refundsAndKeeps, keepsLateMoney   bool
	audit                                                                        []onsale.Violation
}

func newFake(t *testing.T, breaks breakage) *fake {
	f := &fake{breaks: breaks, epoch: 1, holds: map[onsale.HoldID]*onsale.Hold{},
		orders: map[onsale.OrderID]*onsale.Order{}, clients: map[*fakeClient]bool{},
		refunds: fakeRefunds{map[string]*onsale.RefundEntry{}, map[onsale.OrderID][]*onsale.RefundEntry{}}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/sessions", f.createSession)
	mux.HandleFunc("POST /v1/admin/events", f.createEvent)
	mux.HandleFunc("POST /v1/admin/events/{event}/{verb}", f.moveSale)
	mux.HandleFunc("GET /v1/admin/events/{event}/audit", f.audit)
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) { f.answer(w, 200, nil) })
	mux.HandleFunc("GET /v1/events/{event}", f.getEvent)
	mux.HandleFunc("GET /v1/events/{event}/availability", f.availability)
	mux.HandleFunc("GET /v1/events/{event}/live", f.live)
	mux.HandleFunc("POST /v1/events/{event}/holds", f.createHold)
	mux.HandleFunc("GET /v1/holds/{hold}", f.getHold)
	mux.HandleFunc("DELETE /v1/holds/{hold}", f.releaseHold)
	mux.HandleFunc("POST /v1/holds/{hold}/checkout", f.checkout)
	mux.HandleFunc("GET /v1/orders/{order}", f.getOrder)
	mux.HandleFunc("GET /v1/orders/{order}/tickets", f.tickets)
	mux.HandleFunc("POST /v1/admin/orders/{order}/refunds", f.askRefund)
	mux.HandleFunc("GET /v1/admin/orders/{order}/refunds", f.listRefunds)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.mu.Lock()
		for c := range f.clients {
			c.conn.Close()
		}
		f.mu.Unlock()
		f.settling.Wait()
		f.Close()
	})
	return f
}

func (f *fake) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body) // the client will notice
	}
}

func (f *fake) refuse(w http.ResponseWriter, status int, code onsale.Code) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	f.answer(w, status, onsale.Refuse(code, "no"))
}

func (f *fake) createSession(w http.ResponseWriter, _ *http.Request) {
	id := onsale.NewBuyerID()
	f.answer(w, 201, map[string]any{"token": id, "buyer": id, "expires_at": time.Now().Add(time.Hour)})
}

func (f *fake) createEvent(w http.ResponseWriter, r *http.Request) {
	event := new(onsale.Event)
	if err := json.NewDecoder(r.Body).Decode(event); err != nil || r.Header.Get("Authorization") != "Bearer "+operatorToken {
		f.refuse(w, 403, onsale.CodeForbidden)
		return
	}
	if err := event.Complete(); err != nil {
		f.refuse(w, 422, onsale.CodeOf(err))
		return
	}
	f.stage(event)
	f.answer(w, 201, event)
}

// stage makes a completed event the one that the fake sells.
func (f *fake) stage(event *onsale.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.event, f.layout = event, onsale.NewLayout(event)
	f.view = onsale.FeedSnapshot{Type: onsale.FrameSnapshot, Event: event.ID, Epoch: f.epoch, At: time.Now(), Sale: event.Sale}
	empty := string(f.layout.Empty())
	for _, s := range f.layout.Sections() {
		f.view.Sections = append(f.view.Sections, onsale.FeedSection{
			ID: s.ID, Counts: onsale.Counts{Available: s.Capacity}, Seats: empty[s.Start:s.End]})
	}
}

func (f *fake) moveSale(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.event.Sale = map[string]onsale.Sale{"open": onsale.SaleOpen, "close": onsale.SaleClosed}[r.PathValue("verb")]
	f.change(nil, "")
	f.answer(w, 200, f.event)
}

func (f *fake) getEvent(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer(w, 200, f.event)
}

func (f *fake) audit(w http.ResponseWriter, r *http.Request) {
	if bearer(r) != operatorToken {
		f.refuse(w, 403, onsale.CodeForbidden)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer(w, 200, onsale.AuditReport{Event: f.event.ID, At: time.Now(), Violations: f.breaks.audit})
}

func (f *fake) availability(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reap()
	f.answer(w, 200, f.view)
}

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
	amount, bad := f.layout.CheckLines(ask.Lines)
	if err != nil || bad != nil {
		f.refuse(w, 400, onsale.CodeBadRequest)
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
	for _, line := range ask.Lines {
		if code := f.missing(line); code != "" {
			f.refuse(w, 409, code)
			return
		}
	}
	hold := &onsale.Hold{ID: id, Event: f.event.ID, State: onsale.HoldHeld, Generation: 1, Lines: ask.Lines, Amount: amount,
		Currency: f.event.Currency, Buyer: buyer, ExpiresAt: time.Now().Add(f.event.HoldTime())}
	f.holds[id] = hold
	f.change(hold, onsale.HoldHeld)
	if f.breaks.grantsOtherSeats {
		told := *hold
		told.Lines = []onsale.Line{{Section: "floor", Quantity: 7}}
		hold = &told
	}
	f.answer(w, 201, hold)
}

// missing says why a line can't be had. It is called with mu.
func (f *fake) missing(line onsale.Line) onsale.Code {
	section := f.layout.Section(line.Section)
	shown := &f.view.Sections[section.Index]
	if section.Kind == onsale.General {
		if shown.Available < int64(line.Quantity) {
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
		if h.State == onsale.HoldHeld && time.Now().After(h.ExpiresAt) && !f.breaks.neverExpires {
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
	if err != nil || h == nil || h.State != onsale.HoldHeld {
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

// change moves what a hold has to another state and tells every client. It is called with mu.
func (f *fake) change(h *onsale.Hold, to onsale.HoldState) {
	d := onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: f.epoch, From: f.view.Seq, Seq: f.view.Seq + 1,
		At: time.Now(), Sale: f.event.Sale, Sections: map[string]onsale.FeedChanges{}}
	f.view.Seq, f.view.At, f.view.Sale = d.Seq, d.At, d.Sale
	if h != nil {
		f.view.Sections = slices.Clone(f.view.Sections)
		for _, line := range h.Lines {
			section := f.layout.Section(line.Section)
			shown := &f.view.Sections[section.Index]
			changes := onsale.FeedChanges{}
			letters := []byte(shown.Seats)
			for _, seat := range line.Seats {
				offset, _ := section.Offset(seat)
				letters[offset-section.Start] = f.letter(to)
				changes.Seats = append(changes.Seats, onsale.FeedRun{Offset: offset - section.Start, States: string(f.letter(to))})
			}
			shown.Seats = string(letters)
			shown.Counts = f.count(section, shown)
			changes.Counts = shown.Counts
			d.Sections[line.Section] = changes
		}
	}
	for c := range f.clients {
		c.tell(f, d)
	}
}

// count adds up a section: its letters, or the holds of a general one. It is called with mu.
func (f *fake) count(section *onsale.SectionLayout, shown *onsale.FeedSection) (c onsale.Counts) {
	if section.Kind == onsale.Reserved {
		n := func(letter byte) int64 { return int64(strings.Count(shown.Seats, string(letter))) }
		return onsale.Counts{Available: n(onsale.SeatAvailable), Held: n(onsale.SeatHeld), Pinned: n(onsale.SeatPinned), Sold: n(onsale.SeatSold)}
	}
	for _, h := range f.holds {
		for _, line := range h.Lines {
			if line.Section != section.ID {
				continue
			}
			switch h.State {
			case onsale.HoldHeld:
				c.Held += int64(line.Quantity)
			case onsale.HoldPinned:
				c.Pinned += int64(line.Quantity)
			case onsale.HoldSold:
				c.Sold += int64(line.Quantity)
			}
		}
	}
	c.Available = section.Capacity - c.Held - c.Pinned - c.Sold
	if f.breaks.sellsBeyondCapacity {
		c.Available = section.Capacity
	}
	return c
}

// letter is how the feed shows a seat whose hold is in the given state.
func (f *fake) letter(s onsale.HoldState) byte {
	if f.breaks.sellsSeatsTwice {
		return onsale.SeatAvailable
	}
	switch s {
	case onsale.HoldHeld:
		return onsale.SeatHeld
	case onsale.HoldPinned:
		return onsale.SeatPinned
	case onsale.HoldSold:
		return onsale.SeatSold
	}
	return onsale.SeatAvailable
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// fakeClient is one feed of a fake. Its fields but conn are under the fake's mu.
type fakeClient struct {
	conn   *websocket.Conn
	number int
	buyer  string
	out    chan any
	told   int // deltas
}

// fakeBacklog is more frames than any test sends to one client.
const fakeBacklog = 10_000

func (f *fake) live(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{onsale.FeedProtocol}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &fakeClient{conn: conn, out: make(chan any, fakeBacklog)}
	f.mu.Lock()
	c.number = len(f.clients)
	f.clients[c] = true
	c.send(onsale.FeedHello{Type: onsale.FrameHello, ServerTime: time.Now(), HeartbeatMs: 15_000})
	c.send(f.view)
	f.mu.Unlock()
	var writing sync.WaitGroup
	writing.Go(func() {
		for frame := range c.out {
			_ = conn.WriteJSON(frame) // the reader below notices that it's gone
		}
	})
	for {
		var ask onsale.FeedRequest
		if conn.ReadJSON(&ask) != nil {
			break
		}
		f.mu.Lock()
		if ask.Type == onsale.FrameResume {
			c.send(f.view)
		} else {
			c.buyer = ask.Token
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	delete(f.clients, c)
	close(c.out)
	f.mu.Unlock()
	writing.Wait()
	conn.Close()
}

func (c *fakeClient) send(frame any) {
	select {
	case c.out <- frame:
	default:
		panic(fmt.Sprintf("more than %d frames for one client", fakeBacklog))
	}
}

// tell sends a delta, unless this client is one that the fake wrongs.
func (c *fakeClient) tell(f *fake, d onsale.FeedDelta) {
	c.told++
	wronged := c.number%5 == 2 && c.told == 3
	switch {
	case wronged && f.breaks.skipsDelta:
	case c.number%5 == 2 && c.told > 3 && f.breaks.stallsFeed:
	case wronged && f.breaks.sendsNonsense:
		c.send(map[string]any{"type": onsale.FrameDelta, "seq": -1})
	case wronged && f.breaks.dropsFeed:
		c.conn.Close()
	case c.number%5 == 2 && f.breaks.missesChange:
		d.Sections = nil
		c.send(d)
	default:
		c.send(d)
	}
}
