package web_test

import (
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
	api.HandleFunc("GET /v1/orders/{order}/tickets.pdf", o.printTickets)
	api.HandleFunc("GET /v1/tickets/{ticket}/qr.svg", o.drawTicket)
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
