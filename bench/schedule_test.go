package bench

import (
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"onsale"
)

func TestArrivalsAreFixedByTheSeedAndSpreadEvenly(t *testing.T) {
	const n, over = 10_000, 10 * time.Second
	first := Profile{}.arrivals(n, over, 1)
	if !slices.Equal(first, Profile{}.arrivals(n, over, 1)) {
		t.Error("the same seed gives other arrivals")
	}
	if slices.Equal(first, Profile{}.arrivals(n, over, 2)) {
		t.Error("another seed gives the same arrivals")
	}
	if !slices.IsSorted(first) || first[0] < 0 || first[n-1] >= over {
		t.Errorf("from %v to %v, sorted: %v", first[0], first[n-1], slices.IsSorted(first))
	}
	// A tenth of the time gets a tenth of the crowd, within five standard deviations.
	const tenths = 10
	var got [tenths]int
	for _, at := range first {
		got[at*tenths/over]++
	}
	for i, c := range got {
		if spread := 5 * math.Sqrt(n/tenths*(1-1.0/tenths)); math.Abs(float64(c)-n/tenths) > spread {
			t.Errorf("%d arrive in tenth %d of the time", c, i)
		}
	}
}

func TestTemperIsFixedByTheSeedAndTheBuyer(t *testing.T) {
	const n = 20_000
	share := map[string]int{}
	cfg := RushConfig{Seed: 5, Think: time.Second}.WithDefaults()
	for i := range n {
		a, b := newTemper(cfg, i), newTemper(cfg, i)
		if a.pause() != b.pause() || a.way != b.way || a.quantity != b.quantity || a.payment != b.payment || a.ending != b.ending {
			t.Fatalf("buyer %d differs from themselves", i)
		}
		share[a.payment]++
		share[string(a.way)]++
		if a.ending != paysForIt {
			share["abandons"]++
		}
	}
	for name, want := range map[string]float64{
		"tok_decline": paysDeclined, "tok_delay_50": paysDelayed, "tok_broken": paysBroken, "tok_twice": paysTwice, "tok_timeout": paysSilently,
		"tok_ok": 1 - paysDeclined - paysDelayed - paysBroken - paysTwice - paysSilently, "abandons": abandons,
		"picked": 0.40, "best": 0.25, "general": 0.35,
	} {
		if got := float64(share[name]) / n; math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/n) {
			t.Errorf("%s: %.3f of the crowd, want %.3f", name, got, want)
		}
	}
}

// What makes the schedule open-loop: the time a buyer was kept from sending counts.
func TestLatencyCountsFromWhenTheRequestWasDue(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	const behind = 300 * time.Millisecond
	r := &rush{}
	api, err := newAPI(server.URL, &r.m)
	if err != nil {
		t.Fatal(err)
	}
	defer api.close()
	r.api = api
	b := r.buyer(0)
	b.due = time.Now().Add(-behind)
	if err := b.insist(t.Context(), request{method: "GET", path: "/"}, &r.m.hold, nil); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*latency{"hold": &r.m.hold, "late": &r.m.late} {
		if q := l.quantiles(); q.Count != 1 || q.P50 < behind*999/1000 { // three digits
			t.Errorf("%s: %d of %v, although the request was due %v ago", name, q.Count, q.P50, behind)
		}
	}
}

// Else the worst requests of all would make the figures better.
func TestRequestThatIsNeverAnsweredIsOnRecordWithAllThatWasWaitedForIt(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	r := &rush{}
	api, err := newAPI(server.URL, &r.m)
	if err != nil {
		t.Fatal(err)
	}
	defer api.close()
	r.api = api
	b, begun := r.buyer(0), time.Now()
	if err := b.insist(t.Context(), request{method: "GET", path: "/"}, &r.m.hold, nil); err == nil {
		t.Fatal("it was answered")
	}
	waited := time.Since(begun)
	if q := r.m.hold.quantiles(); q.Count != 1 || q.P50 < waited*99/100 || r.m.silent.Load() != 1 {
		t.Errorf("%d of %v, %d unanswered; want one of %v", q.Count, q.P50, r.m.silent.Load(), waited)
	}
}

func TestLatencyBeyondTheRangeIsTheLongest(t *testing.T) {
	var l latency
	l.record(-time.Second) // another machine's clock
	l.record(time.Hour)
	if q := l.quantiles(); q.Count != 2 || q.P50 != time.Microsecond || q.Max < time.Minute {
		t.Errorf("%+v", q)
	}
}

func TestBuyerAsksOnlyForWhatTheFeedShowsAsAvailable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := &onsale.Event{ID: "e", Name: "E", StartsAt: time.Now(), Currency: "EUR", MaxPerBuyer: rapid.IntRange(1, 6).Draw(t, "limit"),
			Sections: []onsale.Section{
				{ID: "floor", Kind: onsale.General, Capacity: 10},
				{ID: "a", Kind: onsale.Reserved, Rows: []onsale.Row{{ID: "A", Seats: 5}, {ID: "B", Seats: 1}, {ID: "C", Seats: 7}}},
				{ID: "b", Kind: onsale.Reserved, Rows: []onsale.Row{{ID: "A", Seats: 3}}},
			}}
		if err := event.Complete(); err != nil {
			t.Fatal(err)
		}
		layout := onsale.NewLayout(event)
		seats := layout.Empty()
		for i := range seats {
			if seats[i] != onsale.RowEnd && rapid.IntRange(0, 2).Draw(t, "taken") > 0 {
				seats[i] = onsale.SeatSold
			}
		}
		floor := rapid.Int64Range(0, 3).Draw(t, "floor")
		view, left := &onsale.FeedSnapshot{}, floor
		for _, s := range layout.Sections() {
			shown := onsale.FeedSection{ID: s.ID, Seats: string(seats[s.Start:s.End])}
			shown.Available = int64(countLetter(shown.Seats, onsale.SeatAvailable))
			left += shown.Available
			if s.Kind == onsale.General {
				shown.Available = floor
			}
			view.Sections = append(view.Sections, shown)
		}
		who := newTemper(RushConfig{Seed: 1}.WithDefaults(), rapid.IntRange(0, 1000).Draw(t, "buyer"))
		lines := choose(who, layout, view)
		if (lines == nil) != (left == 0) {
			t.Fatalf("asks for %v of %d that are left", lines, left)
		}
		if lines == nil {
			return
		}
		line, section := lines[0], layout.Section(lines[0].Section)
		if who.way == asksBest && section.Kind == onsale.Reserved {
			if line.Seats != nil || countLetter(view.Sections[section.Index].Seats, onsale.SeatAvailable) < line.Quantity {
				t.Fatalf("asks for the best as %+v", line)
			}
			return
		}
		if _, err := layout.CheckLines(lines); err != nil {
			t.Fatalf("asks for what can't be had: %v", err)
		}
		if section.Kind == onsale.General && int64(line.Quantity) > floor {
			t.Fatalf("asks for %d of %d", line.Quantity, floor)
		}
		for i, seat := range line.Seats {
			offset, _ := section.Offset(seat)
			first, _ := section.Offset(line.Seats[0])
			if seats[offset] != onsale.SeatAvailable || offset != first+i {
				t.Fatalf("asks for %v of %s", line.Seats, seats)
			}
		}
	})
}

// Who is refused what someone else was faster to get takes what the refusal says is left.
func TestBuyerTakesWhatARefusalSaysIsLeft(t *testing.T) {
	t.Parallel()
	event := &onsale.Event{ID: "e", Name: "E", StartsAt: time.Now(), Currency: "EUR", MaxPerBuyer: 4, Sections: []onsale.Section{
		{ID: "floor", Kind: onsale.General, Capacity: 10}, {ID: "a", Kind: onsale.Reserved, Rows: []onsale.Row{{ID: "A", Seats: 5}}}}}
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	gone, unknown := onsale.Offer{Section: "floor"}, onsale.Offer{Section: "b", Available: 9}
	floor, seats := onsale.Offer{Section: "floor", Available: 2}, onsale.Offer{Section: "a", Available: 4, Seats: []string{"A-1", "A-2", "A-3"}}
	for name, c := range map[string]struct {
		way    way
		nearby []onsale.Offer
		want   []onsale.Line
	}{
		"nothing":          {asksPicked, []onsale.Offer{gone, unknown}, nil},
		"fewer":            {asksPicked, []onsale.Offer{gone, floor, seats}, []onsale.Line{{Section: "floor", Quantity: 2}}},
		"seats":            {asksPicked, []onsale.Offer{seats, floor}, []onsale.Line{{Section: "a", Quantity: 3, Seats: []string{"A-1", "A-2", "A-3"}}}},
		"the best of them": {asksBest, []onsale.Offer{seats}, []onsale.Line{{Section: "a", Quantity: 3}}},
	} {
		if got := suggested(&temper{quantity: 3, way: c.way}, onsale.NewLayout(event), c.nearby); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: asks for %+v, want %+v", name, got, c.want)
		}
	}
}

func countLetter(seats string, letter byte) (n int) {
	for i := range seats {
		if seats[i] == letter {
			n++
		}
	}
	return n
}
