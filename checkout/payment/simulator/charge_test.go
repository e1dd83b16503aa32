package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"onsale"
	"onsale/checkout/payment"
)

func TestSameKeyAtTheSameMomentChargesOnce(t *testing.T) {
	for _, token := range []string{"tok_ok", "tok_delay_50", "tok_decline", "tok_twice"} {
		t.Run(token, func(t *testing.T) {
			c := client(t, start(t, Config{}).URL(), 0)
			charge := newCharge(token)
			var answers sync.Map
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					r, err := c.Charge(t.Context(), charge)
					if err != nil {
						t.Error(err)
					}
					answers.Store(r, true)
				})
			}
			all.Wait()
			distinct := 0
			answers.Range(func(any, any) bool { distinct++; return true })
			if distinct != 1 {
				t.Errorf("%d different answers", distinct)
			}
			want := 1
			if token == "tok_decline" {
				want = 0
			}
			if e := ledgerOf(t, c)[charge.Order]; e.Captures != want {
				t.Errorf("captured %d times, want %d", e.Captures, want)
			}
		})
	}
}

func TestSameKeyForAnotherChargeIsRefused(t *testing.T) {
	s := start(t, Config{})
	c := client(t, s.URL(), 0)
	first := newCharge("tok_ok")
	made, err := c.Charge(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*onsale.Charge){
		"amount":   func(c *onsale.Charge) { c.Amount++ },
		"currency": func(c *onsale.Charge) { c.Currency = "USD" },
		"token":    func(c *onsale.Charge) { c.PaymentToken = "tok_decline" },
	} {
		other := first
		change(&other)
		body, err := json.Marshal(payment.ChargeRequest{
			Event: other.Event, Amount: other.Amount, Currency: other.Currency, PaymentToken: other.PaymentToken,
		})
		if err != nil {
			t.Fatal(err)
		}
		status, p := do(t, http.MethodPost, s.URL()+"/v1/charges", string(first.Order), string(body))
		if status != http.StatusUnprocessableEntity || p.Code != string(onsale.CodeKeyReused) {
			t.Errorf("another %s: %d %s", name, status, p.Code)
		}
	}
	if r, err := c.Charge(t.Context(), first); err != nil || r != made {
		t.Errorf("the same charge again: %+v, %v; want %+v", r, err, made)
	}
	if e := ledgerOf(t, c)[first.Order]; e.Captures != 1 || e.Amount != first.Amount {
		t.Errorf("ledger %+v", e)
	}
}

func TestBadRequestsChargeNothing(t *testing.T) {
	s := start(t, Config{})
	order := string(newCharge("").Order)
	good := `{"event":"gala","amount":1,"currency":"EUR","payment_token":"tok_ok"}`
	for name, c := range map[string]struct{ key, body string }{
		"no key":         {"", good},
		"key is no id":   {"order-1", good},
		"not JSON":       {order, "amount=1"},
		"unknown field":  {order, strings.Replace(good, "{", `{"card":"4242",`, 1)},
		"other event":    {order, strings.Replace(good, "gala", "rodeo", 1)},
		"negative":       {order, strings.Replace(good, "1", "-1", 1)},
		"no currency":    {order, strings.Replace(good, "EUR", "", 1)},
		"no token":       {order, strings.Replace(good, "tok_ok", "", 1)},
		"body too large": {order, strings.Replace(good, "tok_ok", strings.Repeat("x", maxBodyBytes), 1)},
	} {
		status, p := do(t, http.MethodPost, s.URL()+"/v1/charges", c.key, c.body)
		if status != http.StatusBadRequest || p.Code != string(onsale.CodeBadRequest) {
			t.Errorf("%s: %d %+v", name, status, p)
		}
	}
	if status, _ := do(t, http.MethodGet, s.URL()+"/v1/ledger?event=gala&cursor=-1", "", ""); status != http.StatusBadRequest {
		t.Errorf("a cursor that no page gave: %d", status)
	}
	if len(s.ledger.orders) > 0 {
		t.Errorf("charged %d orders", len(s.ledger.orders))
	}
}

func TestLedgerIsReadWholeByPages(t *testing.T) {
	for _, n := range []int{0, 1, payment.LedgerPageEntries, 2*payment.LedgerPageEntries + 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := start(t, Config{})
			c := client(t, s.URL(), 0)
			var orders []onsale.OrderID
			for range n {
				charge := newCharge("tok_ok")
				request := payment.ChargeRequest{Event: gala, Amount: 1, Currency: "EUR", PaymentToken: "tok_ok"}
				if _, err := s.ledger.record(charge.Order, request, onsale.ChargeCaptured, ""); err != nil {
					t.Fatal(err)
				}
				orders = append(orders, charge.Order)
			}
			entries, err := c.Ledger(t.Context(), gala)
			if err != nil || len(entries) != n {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			for i, e := range entries {
				if e.Order != orders[i] || e.Captures != 1 {
					t.Fatalf("entry %d is %+v, want order %s", i, e, orders[i])
				}
			}
			if other, err := c.Ledger(t.Context(), "rodeo"); err != nil || len(other) > 0 {
				t.Errorf("another event has %d entries, %v", len(other), err)
			}
		})
	}
}
