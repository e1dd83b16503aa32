package simulator

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"onsale"
	"onsale/checkout/payment"
)

var secret = []byte("whsec_test")

// receiver takes webhooks, and checks each signature.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	refuse  int               // under mu: how many more to answer with a 500
	notices []payment.Webhook // under mu: those that were taken
}

func newReceiver(t *testing.T, refuse int) *receiver {
	r := &receiver{refuse: refuse}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		if err := payment.VerifyWebhook(secret, req.Header.Get(payment.SignatureHeader), body, time.Now()); err != nil {
			t.Error(err)
		}
		var notice payment.Webhook
		if err := json.Unmarshal(body, &notice); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse > 0 {
			r.refuse--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.notices = append(r.notices, notice)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) taken() []payment.Webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]payment.Webhook(nil), r.notices...)
}

func TestEachOutcomeIsNotifiedWhateverTheClientWasTold(t *testing.T) {
	for token, want := range map[string]struct {
		outcome onsale.ChargeOutcome
		times   int
	}{
		"tok_ok":      {onsale.ChargeCaptured, 1},
		"tok_decline": {onsale.ChargeDeclined, 1},
		"tok_timeout": {onsale.ChargeCaptured, 1},
		"tok_broken":  {onsale.ChargeCaptured, 1},
		"tok_twice":   {onsale.ChargeCaptured, 2},
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, 0)
			c := client(t, start(t, Config{WebhookURL: r.URL, WebhookSecret: secret}).URL(), 100*time.Millisecond)
			charge := newCharge(token)
			_, _ = c.Charge(t.Context(), charge) // some are never answered
			eventually(t, "the notices come", func() bool { return len(r.taken()) >= want.times })
			_, _ = c.Charge(t.Context(), charge) // a repeat is not an outcome
			if _, err := c.Charge(t.Context(), newCharge("tok_ok")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the next notice comes", func() bool { return len(r.taken()) > want.times })

			onRecord, found, err := c.LookUp(t.Context(), charge)
			if err != nil || !found {
				t.Fatal(found, err)
			}
			var mine []payment.Webhook
			for _, n := range r.taken() {
				if n.Order == charge.Order {
					mine = append(mine, n)
				}
			}
			if len(mine) != want.times {
				t.Fatalf("%d notices, want %d", len(mine), want.times)
			}
			for _, n := range mine {
				if n != mine[0] || n.ID == "" {
					t.Errorf("a repeat differs: %+v and %+v", n, mine[0])
				}
			}
			if result, err := mine[0].Result(); err != nil || result != onRecord || result.Outcome != want.outcome {
				t.Errorf("notified %+v, %v; on record %+v", result, err, onRecord)
			}
		})
	}
}

func TestNoticeIsSentAgainUntilItIsTaken(t *testing.T) {
	r := newReceiver(t, 2)
	c := client(t, start(t, Config{WebhookURL: r.URL, WebhookSecret: secret}).URL(), 0)
	charge := newCharge("tok_ok")
	if _, err := c.Charge(t.Context(), charge); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the notice is taken", func() bool { return len(r.taken()) == 1 })
	if got := r.taken()[0].Order; got != charge.Order {
		t.Errorf("notice of %s", got)
	}
}

func TestReceiverThatIsKnownLateIsNotifiedFromThenOn(t *testing.T) {
	r := newReceiver(t, 0)
	s := start(t, Config{WebhookSecret: secret})
	c := client(t, s.URL(), 0)
	early, late := newCharge("tok_twice"), newCharge("tok_twice")
	if _, err := c.Charge(t.Context(), early); err != nil {
		t.Fatal(err)
	}
	s.SetWebhookURL(r.URL)
	if _, err := c.Charge(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both notices come", func() bool { return len(r.taken()) >= 2 })
	for _, n := range r.taken() {
		if n.Order != late.Order {
			t.Errorf("notice of %s, which was charged before anybody was to be told", n.Order)
		}
	}
}

func TestReceiverThatIsAwayHoldsUpNoCharge(t *testing.T) {
	n := newNotifier("http://127.0.0.1:1/", secret, slog.New(slog.DiscardHandler)) // not started: nobody takes any
	for range maxNotices + 10 {
		n.send(onsale.ChargeResult{Order: newCharge("").Order, Outcome: onsale.ChargeCaptured, Reference: "chg_1"})
	}
	if len(n.notices) != maxNotices {
		t.Errorf("%d notices wait, want %d", len(n.notices), maxNotices)
	}
}
