package engine

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/internal/feedclient"
)

const shortEventFile = `
id: hurry
name: Hurry
starts_at: 2030-01-01T20:00:00Z
currency: EUR
hold_seconds: 2
sections:
  - {id: floor, kind: general, capacity: 10, price: 5000}
`

// holdWatcher is a feed of a buyer's own that hears of holds.
type holdWatcher struct {
	mu     sync.Mutex
	frames []string // under mu: of type hold, as "hold state"
}

func (l *holdWatcher) heard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.frames, ", ")
}

// listen opens an event's feed with a buyer's token, in the binary protocol, and says which hold it is about.
func (h *house) listen(event onsale.EventID, token string, hold onsale.HoldID) *holdWatcher {
	h.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{onsale.FeedBinary}}
	url := fmt.Sprintf("ws%s/v1/events/%s/live", strings.TrimPrefix(h.server.URL(), "http"), event)
	ws, _, err := dialer.Dial(url, http.Header{"Authorization": {"Bearer " + token}})
	check(h.t, err)
	check(h.t, ws.WriteJSON(onsale.FeedRequest{Type: onsale.FrameHold, Hold: hold}))
	l, done := &holdWatcher{}, make(chan struct{})
	go func() {
		defer close(done)
		for {
			kind, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if kind != websocket.TextMessage {
				continue
			}
			f, err := feedclient.Parse(data)
			if err != nil {
				h.t.Error(err)
				return
			}
			if f.Hold != nil {
				l.mu.Lock()
				l.frames = append(l.frames, fmt.Sprint(f.Hold.Hold, " ", f.Hold.State))
				l.mu.Unlock()
			}
		}
	}()
	h.t.Cleanup(func() { _ = ws.Close(); <-done })
	return l
}

func TestHoldsBuyerHearsOnTheirFeedHowItEndsAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.want(201, h.operator("POST", "/v1/admin/events", shortEventFile), nil)
	h.want(200, h.operator("POST", "/v1/admin/events/hurry/open", ""), nil)
	buyer, other := h.signIn(), h.signIn()
	var hold onsale.Hold
	h.eventually("the sale is open", func() bool {
		a := h.do("POST", "/v1/events/hurry/holds", buyer, `{"lines":[{"section":"floor","quantity":2}]}`)
		if a.status == 201 {
			h.want(201, a, &hold)
		}
		return a.status == 201
	})
	mine, theirs := h.listen("hurry", buyer, hold.ID), h.listen("hurry", other, hold.ID)
	h.eventually("the hold's end is told", func() bool { return strings.HasSuffix(mine.heard(), "expired") })
	if got, want := mine.heard(), fmt.Sprintf("%[1]s held, %[1]s expired", hold.ID); got != want && got != fmt.Sprint(hold.ID, " expired") { // a slow machine sees only the end
		t.Errorf("heard %q, want %q", got, want)
	}
	if got := theirs.heard(); got != "" {
		t.Errorf("someone else heard %q", got)
	}
}
