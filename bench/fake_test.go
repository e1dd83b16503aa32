package bench

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

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
	later    string      // when they may come again, in seconds; default 1
	taken    int         // how many more holds are answered 409
	asked    []time.Time // when holds were asked for
	keys     []string    // and under which keys
	refunds  fakeRefunds
	resumed  int                    // feeds that asked to go on from where they were
	limits   bool                   // what one buyer may have, and how often they may hold, is limited
	grants   map[onsale.BuyerID]int // how many holds each buyer was granted
	settling sync.WaitGroup
}

// breakage is how a fake breaks its promises.
type breakage struct {
	sellsSeatsTwice, sellsBeyondCapacity, forgetsOrders, neverSettles, tellsLies bool
	holdsAnewPerRequest, grantsOtherSeats, neverExpires, repeatsTickets          bool
	missesChange, stallsFeed, skipsDelta, dropsFeed, sendsNonsense               bool
	refusesPayment, partsTheBest                                                 bool
	endsHoldsEarly, deniesHolds, refusesWhatIsLeft                               bool
	showsTooMany, showsFewerThanNone, goesBack                                   bool
	forgetsRefunds, neverRefunds, refundsAnew, refundsAndKeeps, keepsLateMoney   bool
	audit                                                                        []onsale.Violation
}

func newFake(t *testing.T, breaks breakage) *fake {
	f := &fake{breaks: breaks, epoch: 1, holds: map[onsale.HoldID]*onsale.Hold{},
		orders: map[onsale.OrderID]*onsale.Order{}, clients: map[*fakeClient]bool{}, grants: map[onsale.BuyerID]int{},
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
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", cmp.Or(f.later, "1"))
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
