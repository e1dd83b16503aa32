package bench

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"onsale"
)

// fakeRefunds are a fake's refunds, under its mu. What it pays back it pays back at once.
type fakeRefunds struct {
	byKey   map[string]*onsale.RefundEntry
	byOrder map[onsale.OrderID][]*onsale.RefundEntry
}

func (f *fake) askRefund(w http.ResponseWriter, r *http.Request) {
	if bearer(r) != operatorToken {
		f.refuse(w, 403, onsale.CodeForbidden)
		return
	}
	var ask onsale.RefundRequest
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		f.refuse(w, 400, onsale.CodeBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	order, key := f.orders[onsale.OrderID(r.PathValue("order"))], r.Header.Get("Idempotency-Key")
	known := f.refunds.byKey[key]
	if known == nil || f.breaks.refundsAnew {
		known = &onsale.RefundEntry{ID: onsale.NewRefundID(), Order: order.ID, State: onsale.RefundStateMade, Amount: 1, Tickets: ask.Tickets}
		f.refunds.byKey[key] = known
		f.refund(order, known, ask)
	}
	f.answer(w, 202, known)
}

// refund pays back. It is called with mu.
func (f *fake) refund(order *onsale.Order, entry *onsale.RefundEntry, ask onsale.RefundRequest) {
	if f.breaks.neverRefunds {
		entry.State = onsale.RefundStateDue
	}
	if !f.breaks.forgetsRefunds {
		f.refunds.byOrder[order.ID] = append(f.refunds.byOrder[order.ID], entry)
	}
	whole := ask.Amount == nil && (ask.Tickets == nil || onsale.Quantity(order.Lines) == 1)
	if !whole || f.breaks.refundsAndKeeps || entry.State != onsale.RefundStateMade {
		return
	}
	order.State = onsale.OrderRefunded
	if h := f.holds[order.Hold]; h.State == onsale.HoldSold {
		h.State = onsale.HoldReleased
		f.change(h, h.State)
	}
}

func (f *fake) listRefunds(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer(w, 200, map[string]any{"refunds": f.refunds.byOrder[onsale.OrderID(r.PathValue("order"))]})
}

// payLate is what becomes of a payment that comes after the decline. It is called with mu.
func (f *fake) payLate(order *onsale.Order) {
	if !f.breaks.keepsLateMoney {
		f.refunds.byOrder[order.ID] = []*onsale.RefundEntry{{ID: onsale.NewRefundID(), Order: order.ID, State: onsale.RefundStateMade, Amount: order.Amount}}
	}
}

// withAftermath is a rush with a seed whose crowd has some who pay late and some who are
// paid back, three of them whole whatever they buy, and with room for all of them.
func withAftermath(cfg RushConfig) RushConfig {
	cfg.Aftermath, cfg.Create, cfg.Watchers = true, house(600, time.Minute), 3
	for cfg.Seed = 1; ; cfg.Seed++ {
		late, back, whole := 0, 0, 0
		for n := range cfg.Users {
			switch who := newTemper(cfg.WithDefaults(), n); {
			case who.ending != paysForIt:
			case isLate(who.payment):
				late++
			case who.paidBack != nil && who.payment == paymentPrefix+"ok":
				back++
				if who.paidBack.whole() {
					whole++
				}
			}
		}
		if late >= 4 && back >= 6 && whole >= 3 {
			return cfg
		}
	}
}

func TestAfterASaleRefundsAndLatePaymentsComeToTheirEnd(t *testing.T) {
	t.Parallel()
	report, err := Rush(t.Context(), withAftermath(quick(newFake(t, breakage{}), 60)))
	if err != nil {
		t.Fatal(err)
	}
	figure := func(name string) float64 { return report.Figures[name].Value }
	if figure("refunds_made") == 0 || figure("refunds_asked") != figure("refunds_made") || figure(latePaidBack) == 0 || figure("errors") != 0 {
		t.Errorf("%+v, %v", report.Figures, report.Notes)
	}
}

func TestABrokenPromiseAfterASaleIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		breaks    breakage
		invariant onsale.Invariant
	}{
		"a refund is forgotten":              {breakage{forgetsRefunds: true}, onsale.InvariantCharges},
		"a refund comes to no end":           {breakage{neverRefunds: true}, onsale.InvariantCharges},
		"one key makes two refunds":          {breakage{refundsAnew: true}, onsale.InvariantKeys},
		"what was paid back whole goes on":   {breakage{refundsAndKeeps: true}, onsale.InvariantOrders},
		"a late payment buys nothing at all": {breakage{keepsLateMoney: true}, onsale.InvariantCharges},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := withAftermath(quick(newFake(t, test.breaks), 60))
			if test.breaks.keepsLateMoney {
				cfg.ResultTimeout = 2 * time.Second
			}
			report, err := Rush(t.Context(), cfg)
			var broken *onsale.AuditError
			if !errors.As(err, &broken) || report == nil || report.OK {
				t.Fatalf("not found out: %v, %+v", err, report)
			}
			for _, v := range report.Audit.Violations {
				if v.Invariant == test.invariant {
					return
				}
			}
			t.Errorf("no violation of invariant %d in\n%v", test.invariant, err)
		})
	}
}
