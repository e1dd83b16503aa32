package holds

import (
	"errors"
	"reflect"
	"testing"

	"onsale"
)

// refusedOffers is what a refusal offers instead.
func refusedOffers(t *testing.T, err error, want onsale.Code) []onsale.Offer {
	t.Helper()
	e, ok := errors.AsType[*onsale.Error](err)
	if !ok || e.Code != want {
		t.Fatalf("%v, want %s", err, want)
	}
	return e.Nearby
}

func TestARefusalSaysWhatIsLeftNearby(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) {
		e.Sections = append(e.Sections,
			onsale.Section{ID: "balcony", Kind: onsale.Reserved, Price: 7900, Grid: &onsale.Grid{Rows: 1, Seats: 4}},
			onsale.Section{ID: "lawn", Kind: onsale.General, Capacity: 3, Price: 1000})
	})
	h.mirror()
	h.mustHold("buy_a", onsale.Ask{Section: "stand", Seats: []string{"A-3"}})
	mi := h.desk.mirrors.Load().mirrors[h.layout.Event.ID]
	knows := func(section string, available int64) {
		eventually(t, section+" is as it is", func() bool {
			mi.mu.Lock()
			defer mi.mu.Unlock()
			return mi.stock.Counts[h.layout.Section(section).Index].Available == available
		})
	}
	knows("stand", 9)

	_, err := h.hold("buy_b", "", onsale.Ask{Section: "stand", Seats: []string{"A-3", "A-4"}})
	want := []onsale.Offer{{Section: "stand", Available: 9, Seats: []string{"A-4", "A-5"}}, {Section: "balcony", Available: 4}, {Section: "floor", Available: 10}}
	if got := refusedOffers(t, err, onsale.CodeSeatTaken); !reflect.DeepEqual(got, want) {
		t.Errorf("taken seats: offered %+v, want %+v", got, want)
	}

	h.mustHold("buy_c", onsale.Ask{Section: "balcony", Seats: []string{"A-2"}})
	h.mustHold("buy_d", onsale.Ask{Section: "balcony", Seats: []string{"A-4"}})
	knows("balcony", 2)
	_, err = h.hold("buy_b", "", onsale.Ask{Section: "balcony", Quantity: 2})
	got := refusedOffers(t, err, onsale.CodeNotTogether)
	if len(got) == 0 || !reflect.DeepEqual(got[0], onsale.Offer{Section: "balcony", Available: 2, Seats: []string{"A-1", "A-3"}}) {
		t.Errorf("not together: offered %+v, want the two that are left first", got)
	}

	h.mustHold("buy_e", onsale.Ask{Section: "lawn", Quantity: 3})
	knows("lawn", 0)
	_, err = h.hold("buy_b", "", onsale.Ask{Section: "lawn", Quantity: 1})
	if got := refusedOffers(t, err, onsale.CodeSoldOut); len(got) != 3 || got[0].Section != "floor" {
		t.Errorf("sold out: offered %+v, want three sections, the floor first", got)
	}
}
