package holds

import (
	"slices"
	"testing"
	"time"

	"onsale"
)

// seatsOf are the names of a hold's seats, in the order they were given.
func seatsOf(t *testing.T, hold onsale.Hold, err error) []string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var seats []string
	for _, line := range hold.Lines {
		seats = append(seats, line.Seats...)
	}
	return seats
}

func (h *house) wantBest(buyer onsale.BuyerID, want []string, asks ...onsale.Ask) {
	h.t.Helper()
	hold, err := h.hold(buyer, "", asks...)
	if got := seatsOf(h.t, hold, err); !slices.Equal(got, want) {
		h.t.Errorf("got %v, want %v", got, want)
	}
}

func TestBestAvailableLeavesNoOrphanUnlessThereIsNoOtherWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil) // rows A and B of 5
	h.wantBest("buy_a", []string{"A-1", "A-2"}, best(2))
	h.wantBest("buy_b", []string{"B-1", "B-2"}, best(2)) // would leave A-5 alone
	h.wantBest("buy_c", []string{"A-3", "A-4", "A-5"}, best(3))
	h.wantBest("buy_d", []string{"B-3", "B-4"}, best(2)) // no other way
	h.wantBest("buy_e", []string{"B-5"}, best(1))
	_, err := h.hold("buy_f", "", best(1))
	wantCode(t, err, onsale.CodeSoldOut)
}

func TestAnEventMayAllowOrphans(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.AllowOrphans = true })
	h.wantBest("buy_a", []string{"A-1", "A-2"}, best(2))
	h.wantBest("buy_b", []string{"A-3", "A-4"}, best(2))
}

func TestSeatsAreApartOnlyForThoseWhoAllowIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	for i, seat := range []string{"A-2", "A-4", "B-2", "B-4"} {
		h.mustHold(onsale.BuyerID([]string{"buy_a", "buy_b"}[i%2]), stand(seat))
	}
	_, err := h.hold("buy_c", "", best(2))
	if refused := wantRefusal(t, err, onsale.CodeNotTogether); *refused.Available != 6 || refused.Section != "stand" {
		t.Errorf("refusal %+v", refused)
	}
	h.wantBest("buy_c", []string{"A-1", "A-3"}, onsale.Ask{Section: "stand", Quantity: 2, Split: true})
}

func TestTheBestIsLookedForInEachSectionThatIsNamedOrHasThePrice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) {
		e.Sections = append(e.Sections, onsale.Section{ID: "balcony", Kind: onsale.Reserved, Price: 8000, Grid: &onsale.Grid{Rows: 1, Seats: 4}})
	})
	price := int64(8000)
	h.wantBest("buy_a", []string{"A-1", "A-2", "A-3", "A-4"}, onsale.Ask{Sections: []string{"balcony", "stand"}, Quantity: 4})
	hold, err := h.hold("buy_b", "", onsale.Ask{Sections: []string{"balcony", "stand"}, Quantity: 2})
	if seatsOf(t, hold, err); hold.Lines[0].Section != "stand" {
		t.Errorf("held %+v", hold.Lines)
	}
	if hold, err = h.hold("buy_c", "", onsale.Ask{Price: &price, Quantity: 3}); err != nil || hold.Lines[0].Section != "stand" || hold.Amount != 3*price {
		t.Errorf("held %+v, %v", hold, err)
	}
}

func TestAccessibleSeatsAreForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) {
		e.Sections[1].Wheelchair, e.Sections[1].Companion = []string{"A-1"}, []string{"A-2"}
	})
	h.wantBest("buy_a", []string{"B-1", "B-2", "B-3", "B-4"}, best(4))
	h.wantBest("buy_b", []string{"A-3", "A-4", "A-5"}, best(3))
	_, err := h.hold("buy_c", "", stand("A-1"))
	wantCode(t, err, onsale.CodeAccessible)
	_, err = h.hold("buy_c", "", best(2))
	wantCode(t, err, onsale.CodeNotTogether)
	hold, err := h.hold("buy_c", "", onsale.Ask{Section: "stand", Quantity: 2, Wheelchair: 1})
	if got := seatsOf(t, hold, err); !slices.Equal(got, []string{"A-1", "A-2"}) {
		t.Errorf("got %v", got)
	}
	if err := h.desk.Release(t.Context(), h.layout, hold.ID, "buy_c", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.hold("buy_d", "", onsale.Ask{Section: "stand", Seats: []string{"A-1"}, Accessible: true}); err != nil {
		t.Errorf("what came back is no longer a wheelchair place: %v", err)
	}
}

func TestRenewingIsNotKeeping(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.HoldsPerMinute = 3 })
	for range 3 {
		hold := h.mustHold("buy_a", floor(1))
		if err := h.desk.Release(t.Context(), h.layout, hold.ID, "buy_a", 0); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.hold("buy_a", "", floor(1))
	if refused := wantRefusal(t, err, onsale.CodeTooOften); refused.RetryAfter <= 0 || refused.RetryAfter > time.Minute {
		t.Errorf("Retry-After %v", refused.RetryAfter)
	}
	h.mustHold("buy_b", floor(1))
}

func TestAHoldIsExtendedOnceIfItsEventAllowsIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(e *onsale.Event) { e.ExtendSeconds = 30 })
	hold := h.mustHold("buy_a", floor(1))
	for range 2 { // again gives no more
		longer, err := h.desk.Extend(t.Context(), h.layout, hold.ID, "buy_a", hold.Generation)
		if err != nil || longer.Generation != 2 || longer.ExpiresAt.Sub(hold.ExpiresAt) != 30*time.Second {
			t.Errorf("extended %+v, %v", longer, err)
		}
	}
	_, err := h.desk.Extend(t.Context(), h.layout, hold.ID, "buy_a", 2)
	wantCode(t, err, onsale.CodeNotExtendable)
	_, err = h.desk.Extend(t.Context(), h.layout, hold.ID, "buy_b", 0)
	wantCode(t, err, onsale.CodeUnknownHold)
	// What was asked about the hold as it was before changes nothing.
	wantCode(t, h.desk.Release(t.Context(), h.layout, hold.ID, "buy_a", 1), onsale.CodeHoldEnded)
	h.wantCounts("floor", onsale.Counts{Available: 9, Held: 1})

	never := newHouse(t, nil)
	_, err = never.desk.Extend(t.Context(), never.layout, never.mustHold("buy_a", floor(1)).ID, "buy_a", 0)
	wantCode(t, err, onsale.CodeNotExtendable)
}
