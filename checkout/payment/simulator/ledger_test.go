package simulator

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onsale"
	"onsale/checkout/payment"
)

var request = payment.ChargeRequest{Event: gala, Amount: 4200, Currency: "EUR", PaymentToken: "tok_ok"}

func open(t *testing.T, path string) *ledger {
	t.Helper()
	l, err := openLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func record(t *testing.T, l *ledger) onsale.OrderID {
	t.Helper()
	order := newCharge("").Order
	if _, err := l.record(order, request, onsale.ChargeCaptured, ""); err != nil {
		t.Fatal(err)
	}
	return order
}

func TestTornLastLineWasNeverACharge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	whole := open(t, path)
	first, last := record(t, whole), newCharge("").Order
	long := request
	long.PaymentToken = strings.Repeat("x", 200) // so that a torn line can be longer than the next one
	if _, err := whole.record(last, long, onsale.ChargeCaptured, ""); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lineEnd := bytes.IndexByte(content, '\n') + 1
	for cut := lineEnd; cut < len(content); cut++ {
		torn := filepath.Join(t.TempDir(), "torn.jsonl")
		if err := os.WriteFile(torn, content[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, torn)
		if _, ok := l.find(first); !ok {
			t.Fatalf("cut at %d: the whole line is gone", cut)
		}
		if _, ok := l.find(last); ok {
			t.Fatalf("cut at %d: the torn line counts", cut)
		}
		// What comes next is not glued to the torn rest, and none of that is left.
		next := record(t, l)
		if now, err := os.ReadFile(torn); err != nil || bytes.Count(now, []byte("\n")) != 2 || now[len(now)-1] != '\n' {
			t.Fatalf("cut at %d, the file is %q, %v", cut, now, err)
		}
		again := open(t, torn)
		for _, order := range []onsale.OrderID{first, next} {
			if e, ok := again.find(order); !ok || e.captures != 1 {
				t.Fatalf("cut at %d, reopened: %+v, %t", cut, e, ok)
			}
		}
	}
}

func TestDamagedLedgerIsNotWrittenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	l := open(t, path)
	record(t, l)
	record(t, l)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[3] = 0
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLedger(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("opened a damaged ledger: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the damaged ledger was changed: %v", err)
	}
}

func TestChargeThatCanNotBeWrittenIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	s := start(t, Config{Ledger: path})
	c := client(t, s.URL(), 0)
	before := newCharge("tok_ok")
	if _, err := c.Charge(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.ledger.mu.Lock()
	s.ledger.file.Close()
	s.ledger.file = readOnly
	s.ledger.mu.Unlock()

	charge := newCharge("tok_ok")
	for range 2 {
		if r, err := c.Charge(t.Context(), charge); err == nil {
			t.Errorf("answered %+v, and can't have written it", r)
		}
	}
	if _, found, err := c.LookUp(t.Context(), charge); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	if _, found, err := c.LookUp(t.Context(), before); !found || err != nil {
		t.Errorf("the charge before it: found %t, %v", found, err)
	}
}

func TestLedgerAdmitsADoubleCapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	l := open(t, path)
	order := record(t, l)
	first, _ := l.find(order)
	if _, err := l.record(order, request, onsale.ChargeCaptured, ""); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*ledger{l, open(t, path)} {
		entries, _ := l.page(gala, 0, 10)
		if len(entries) != 1 || entries[0].Captures != 2 || entries[0].Reference != first.result.Reference {
			t.Errorf("entries %+v", entries)
		}
	}
}
