package main

import (
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/internal/stores/storestest"
	"onsale/persist"
)

func TestAnOrderIsShownAndPaidBackAtTheCommandLine(t *testing.T) {
	t.Parallel()
	url := storestest.Postgres(t)
	if err := persist.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	order := ticketed(t, url)
	do := func(want int, says string, args ...string) {
		t.Helper()
		code, stdout, stderr := run(t, append(args, "--postgres", url, string(order))...)
		if code != want || !strings.Contains(stdout+stderr, says) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s%s", args, code, want, says, stdout, stderr)
		}
	}
	do(0, "is ticketed", "order", "show")
	do(exitFailed, "bad_request", "order", "refund", "--amount", "0")
	do(exitFailed, "bad_request", "order", "refund", "--tickets", "9")
	do(exitFailed, "bad_request: the order has no such payment: it has ch_", "order", "refund", "--payment", "nonsense")
	do(0, "is due: 5000 EUR, tickets [2]", "order", "refund", "--tickets", "2", "--reason", "illness", "--key", "k")
	do(0, "is due: 5000 EUR, tickets [2]", "order", "refund", "--tickets", "2", "--reason", "illness", "--key", "k")
	do(exitFailed, "not_refundable", "order", "refund")
	do(0, "illness", "order", "show")
	do(0, `"state": "due"`, "order", "show", "--json")
	order = onsale.NewHoldID("concert", 1).Order()
	do(exitFailed, "unknown_order", "order", "show")
}

// ticketed puts an order of two places into the book.
func ticketed(t *testing.T, url string) onsale.OrderID {
	t.Helper()
	store, err := persist.Open(t.Context(), url, persist.Config{Secret: []byte(strings.Repeat("s", 32))})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	_, err = store.CreateEvent(t.Context(), &onsale.Event{ID: "concert", Name: "Concert", StartsAt: time.Unix(2e9, 0), Currency: "EUR",
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 5000, Capacity: 10}}})
	if err != nil {
		t.Fatal(err)
	}
	hold := onsale.NewHoldID("concert", 1)
	p := onsale.Purchase{Order: hold.Order(), Hold: hold, Event: "concert", Epoch: 1, Generation: 1, Buyer: onsale.NewBuyerID(),
		Lines: []onsale.Line{{Section: "floor", Quantity: 2}}, Amount: 10_000, Currency: "EUR", PaymentToken: "tok_ok", At: time.Now()}
	if _, _, err := store.Claim(t.Context(), []onsale.Purchase{p}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Finalise(t.Context(), []onsale.ChargeResult{{Order: p.Order, Event: p.Event, Outcome: onsale.ChargeCaptured, Reference: "ch_1",
		Amount: p.Amount, Currency: p.Currency, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	return p.Order
}
