package web_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onsale"
	"onsale/engine/web"
)

// office is a ticket office with one event, in memory: the least server that
// answers as the API's description says (contract_test.go holds it to that), so
// that the page can be driven into every corner, and so that a test decides when
// an order goes on, a delta is lost or the server is busy.
type office struct {
	t      testing.TB
	url    string
	layout *onsale.Layout
	ahead  time.Duration // how far the office's clock is ahead of ours

	mu       sync.Mutex
	stock    *onsale.Stock                    // under mu
	holds    map[onsale.HoldID]*onsale.Hold   // under mu
	orders   map[onsale.OrderID]*onsale.Order // under mu
	keys     map[string]onsale.HoldID         // under mu: by buyer and Idempotency-Key
	requests []string                         // under mu: "METHOD PATH KEY" of all but the files
	refusals []*onsale.Error                  // under mu: the answers of the next POSTs that want to hold or to buy
	watchers map[*watcher]bool                // under mu
	losing   int                              // under mu: how many of the next deltas never arrive
	silent   bool                             // under mu: news of orders never arrive
	sockets  sync.WaitGroup                   // the watchers' goroutines
}

// arena is the event that is sold: a floor, and two stands.
func arena() *onsale.Event {
	return &onsale.Event{
		ID: "arena-2027", Name: "The Lanterns: Midsummer", Venue: "Harbour Arena", Currency: "EUR", MaxPerBuyer: 4,
		StartsAt: time.Date(2027, 6, 24, 18, 0, 0, 0, time.UTC), HoldSeconds: 120, Sale: onsale.SaleOpen, Epoch: 1,
		Sections: []onsale.Section{
			{ID: "floor", Name: "Floor", Kind: onsale.General, Price: 4500, Capacity: 200},
			{ID: "north", Name: "North stand", Kind: onsale.Reserved, Price: 8900, Grid: &onsale.Grid{Rows: 14, Seats: 32}},
			{ID: "south", Name: "South stand", Kind: onsale.Reserved, Price: 7250, Grid: &onsale.Grid{Rows: 60, Seats: 90}},
		},
	}
}

// newOffice opens an office that sells the event, and closes it when the test ends.
func newOffice(t testing.TB, event *onsale.Event) *office {
	t.Helper()
	if err := event.Complete(); err != nil {
		t.Fatalf("the event: %v", err)
	}
	o := &office{
		t: t, layout: onsale.NewLayout(event),
		holds: map[onsale.HoldID]*onsale.Hold{}, orders: map[onsale.OrderID]*onsale.Order{},
		keys: map[string]onsale.HoldID{}, watchers: map[*watcher]bool{},
	}
	o.stock = &onsale.Stock{Event: event.ID, Epoch: event.Epoch, Sale: event.Sale, At: time.Now(), Seats: o.layout.Empty()}
	for _, s := range event.Sections {
		o.stock.Counts = append(o.stock.Counts, onsale.Counts{Available: s.Capacity})
	}
	server := httptest.NewServer(o.routes())
	o.url = server.URL
	t.Cleanup(func() {
		o.closeFeeds(onsale.CloseRestarting)
		server.Close()
		o.sockets.Wait()
	})
	return o
}

func (o *office) now() time.Time { return time.Now().Add(o.ahead).UTC() }

func (o *office) routes() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("POST /v1/sessions", o.createSession)
	api.HandleFunc("GET /v1/events", o.listEvents)
	api.HandleFunc("GET /v1/events/{event}", o.getEvent)
	api.HandleFunc("POST /v1/events/{event}/holds", o.createHold)
	api.HandleFunc("GET /v1/holds/{hold}", o.getHold)
	api.HandleFunc("DELETE /v1/holds/{hold}", o.releaseHold)
	api.HandleFunc("POST /v1/holds/{hold}/checkout", o.checkout)
	api.HandleFunc("GET /v1/orders", o.listOrders)
	api.HandleFunc("GET /v1/orders/{order}", o.getOrder)
	api.HandleFunc("GET /v1/orders/{order}/tickets", o.listTickets)
	checked := underContract(o.t, o.noted(api))

	mux := http.NewServeMux()
	mux.Handle("/v1/", checked)
	mux.HandleFunc("GET /v1/events/{event}/live", o.watch)
	mux.HandleFunc("/", serveFile)
	return mux
}

func serveFile(w http.ResponseWriter, r *http.Request) {
	body, contentType, etag, ok := web.Asset(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", web.CacheControl(r.URL.Path))
	w.Header().Set("Content-Security-Policy", web.ContentSecurityPolicy)
	_, _ = w.Write(body) // a browser that went away is no failure of the office
}

// noted writes requests down, and dates the answers by the office's clock.
func (o *office) noted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", o.now().Format(http.TimeFormat))
		o.mu.Lock()
		o.requests = append(o.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Idempotency-Key")))
		o.reap()
		o.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// sent returns the requests so far that begin with prefix.
func (o *office) sent(prefix string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.requests), func(r string) bool { return !strings.HasPrefix(r, prefix) })
}

// refuse answers the next requests to hold or to buy with these refusals.
func (o *office) refuse(refusals ...*onsale.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusals = append(o.refusals, refusals...)
}

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
	hold, err := o.hold(buyer, request.Lines)
	if err != nil {
		refused(w, err)
		return
	}
	o.keys[key] = hold.ID
	w.Header().Set("Location", "/v1/holds/"+string(hold.ID))
	answer(w, http.StatusCreated, hold)
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
			t := onsale.Ticket{ID: order.ID.Ticket(len(tickets) + 1), Order: order.ID, Event: order.Event, Section: line.Section, IssuedAt: order.UpdatedAt}
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
