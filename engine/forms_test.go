package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/holds"
)

func formLayout(t *testing.T, id onsale.EventID) *onsale.Layout {
	t.Helper()
	event := &onsale.Event{ID: id, Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), Epoch: 1,
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Capacity: 100, Price: 5000}, {ID: "stand", Kind: onsale.Reserved, Rows: []onsale.Row{{ID: "A", Seats: 20}}, Price: 8000}}}
	check(t, event.Complete())
	return onsale.NewLayout(event)
}

func formOf(t *testing.T, l *onsale.Layout, asks ...onsale.Ask) *holds.Form {
	t.Helper()
	checked, err := l.CheckAsks(asks)
	check(t, err)
	return holds.NewForm(checked)
}

func TestWhatABodyAsksIsRememberedForItsEventAlone(t *testing.T) {
	t.Parallel()
	var f forms
	one, two := formLayout(t, "one"), formLayout(t, "two")
	body := []byte(`{"lines":[{"section":"floor","quantity":2}]}`)
	form := formOf(t, one, onsale.Ask{Section: "floor", Quantity: 2})
	f.keep(one, body, form)
	if f.find(one, body) != form {
		t.Error("it was forgotten at once")
	}
	if f.find(two, body) != nil || f.find(one, body[:len(body)-1]) != nil {
		t.Error("another event's, or another body, is taken for it")
	}
	body[30] = '?' // the connection's buffer, that the next request is read into
	if f.find(one, body) != nil {
		t.Error("what is remembered changed with the buffer that it was read from")
	}
}

func TestBodiesThatAreUnlikelyToComeAgainAreNotRemembered(t *testing.T) {
	t.Parallel()
	var f forms
	l := formLayout(t, "one")
	picked, long := []byte(`picked`), []byte(strings.Repeat(" ", maxFormBytes+1))
	f.keep(l, picked, formOf(t, l, onsale.Ask{Section: "stand", Seats: []string{"A-1"}}))
	f.keep(l, long, formOf(t, l, onsale.Ask{Section: "floor", Quantity: 1}))
	if f.find(l, picked) != nil || f.find(l, long) != nil {
		t.Error("picked seats, or a long body, are remembered")
	}
	form := formOf(t, l, onsale.Ask{Section: "floor", Quantity: 1})
	for i := range 3 * maxForms {
		f.keep(l, fmt.Appendf(nil, "body %d", i), form)
		if len(f.of) > maxForms {
			t.Fatalf("%d bodies are remembered", len(f.of))
		}
	}
}
