package onsale

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func testEvent() *Event {
	return &Event{ID: "concert", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), Sections: []Section{
		{ID: "floor", Kind: General, Capacity: 10, Price: 5000},
		{ID: "stand", Kind: Reserved, Price: 8000, Rows: []Row{{"A", 3}, {"BB", 12}}},
		{ID: "box", Kind: Reserved, Price: 20000, Grid: &Grid{Rows: 28, Seats: 2}},
	}}
}

func TestIDsNameTheirEventAndEpoch(t *testing.T) {
	hold := NewHoldID("a-concert-2027", 40)
	event, epoch, ok := hold.Parse()
	if !ok || event != "a-concert-2027" || epoch != 40 {
		t.Errorf("%s names %q, %d, %v", hold, event, epoch, ok)
	}
	order := hold.Order()
	if order.Hold() != hold {
		t.Errorf("%s came from %s", order, order.Hold())
	}
	if event, epoch, ok = order.Parse(); !ok || event != "a-concert-2027" || epoch != 40 {
		t.Errorf("%s names %q, %d, %v", order, event, epoch, ok)
	}
	if a, b := order.Ticket(1), order.Ticket(2); a == b || !strings.HasPrefix(string(a), "tkt_a-concert-2027_") {
		t.Errorf("tickets %s and %s", a, b)
	}
	if a, b := NewHoldID("e", 1), NewHoldID("e", 1); a == b || !NewBuyerID().Valid() {
		t.Error("ids must be fresh and valid")
	}
}

func TestAKeyAlwaysNamesTheSameHoldOfItsBuyer(t *testing.T) {
	secret := []byte("secret")
	derive := NewHoldIDs(secret).Derive
	first := derive("concert", 1, "buy_a", "key")
	if derive("concert", 1, "buy_a", "key") != first {
		t.Error("the same key must name the same hold")
	}
	for _, other := range []HoldID{
		derive("concert", 1, "buy_b", "key"), derive("concert", 1, "buy_a", "other"),
		derive("concert2", 1, "buy_a", "key"), derive("concert", 2, "buy_a", "key"),
		NewHoldIDs([]byte("another")).Derive("concert", 1, "buy_a", "key"),
	} {
		if other == first {
			t.Errorf("%s is the hold of something else", other)
		}
	}
}

func FuzzIDsAreParsedOrRefused(f *testing.F) {
	f.Add("hld_concert_1_00000000000000000000000000")
	f.Add("hld__1_")
	f.Add("ord_concert_zzzzzzzzzzzzzzzz_00000000000000000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		if event, _, ok := HoldID(text).Parse(); ok && !event.Valid() {
			t.Errorf("%q names the event %q", text, event)
		}
		if _, _, ok := OrderID(text).Parse(); ok && OrderID(text).Hold().Order() != OrderID(text) {
			t.Errorf("%q is not its hold's order", text)
		}
	})
}

func TestAnEventThatCantBeSoldSaysWhatToMend(t *testing.T) {
	for says, change := range map[string]func(*Event){
		"id":             func(e *Event) { e.ID = "Concert" },
		"name":           func(e *Event) { e.Name = " " },
		"currency":       func(e *Event) { e.Currency = "eur" },
		"starts_at":      func(e *Event) { e.StartsAt = time.Time{} },
		"hold_seconds":   func(e *Event) { e.HoldSeconds = 7200 },
		"max_per_buyer":  func(e *Event) { e.MaxPerBuyer = MaxPerBuyer + 1 },
		"sections":       func(e *Event) { e.Sections = nil },
		"twice":          func(e *Event) { e.Sections[1].ID = "floor" },
		"section id":     func(e *Event) { e.Sections[0].ID = "the floor" },
		"price must be":  func(e *Event) { e.Sections[0].Price = -1 },
		"minor units":    func(e *Event) { e.Sections[0].Price = MaxPrice + 1 },
		"kind":           func(e *Event) { e.Sections[0].Kind = "standing" },
		"capacity":       func(e *Event) { e.Sections[0].Capacity = 0 },
		"not rows":       func(e *Event) { e.Sections[0].Rows = []Row{{"A", 1}} },
		"has rows":       func(e *Event) { e.Sections[1].Rows = nil },
		"either rows":    func(e *Event) { e.Sections[1].Grid = &Grid{1, 1} },
		"unique":         func(e *Event) { e.Sections[1].Rows[1].ID = "A" },
		"1 to 500 seats": func(e *Event) { e.Sections[1].Rows[1].Seats = 0 },
		"15 seats":       func(e *Event) { e.Sections[1].Capacity = 16 },
		"reserved seats": func(e *Event) { e.Sections[1].Rows = nil; e.Sections[1].Grid = &Grid{700, 500} },
	} {
		e := testEvent()
		change(e)
		err := e.Complete()
		if !errors.Is(err, Refuse(CodeBadEvent, "")) || !strings.Contains(err.Error(), says) {
			t.Errorf("want a refusal that says %q, got %v", says, err)
		}
	}
}

func TestCompletingAnEventSpellsItOutAndIsRepeatable(t *testing.T) {
	e := testEvent()
	for range 2 {
		if err := e.Complete(); err != nil {
			t.Fatal(err)
		}
	}
	if e.HoldTime() != DefaultHoldTime || e.MaxPerBuyer != 6 || e.Sale != SaleDraft || e.Capacity() != 10+15+56 {
		t.Errorf("%+v", e)
	}
	rows := e.Sections[2].Rows
	if rows[0].ID != "A" || rows[25].ID != "Z" || rows[26].ID != "AA" || rows[27].ID != "AB" {
		t.Errorf("rows %v", rows)
	}
}

func TestEverySeatHasOneOffsetAndBack(t *testing.T) {
	e := testEvent()
	if err := e.Complete(); err != nil {
		t.Fatal(err)
	}
	l := NewLayout(e)
	house, seats := l.Empty(), 0
	for _, s := range l.Sections() {
		for _, r := range s.Rows {
			for n := 1; n <= r.Seats; n++ {
				name := fmt.Sprintf("%s-%d", r.ID, n)
				offset, ok := s.Offset(name)
				if !ok || house[offset] != SeatAvailable || s.Seat(offset) != name || offset < s.Start || offset >= s.End {
					t.Errorf("%s %s: offset %d, %v, back %q", s.ID, name, offset, ok, s.Seat(offset))
				}
				house[offset] = SeatSold
				seats++
			}
			last, _ := s.Offset(fmt.Sprintf("%s-%d", r.ID, r.Seats))
			if house[last+1] != RowEnd || s.Seat(last+1) != "" {
				t.Errorf("%s row %s does not end at %d", s.ID, r.ID, last+1)
			}
		}
		for _, none := range []string{"", "A", "-1", "A-", "A-0", "A-00", "A-01", "A-1x", "A-+1", "ZZ-1", "A-999999999999999999999"} {
			if _, ok := s.Offset(none); ok {
				t.Errorf("%s has a seat %q", s.ID, none)
			}
		}
	}
	if seats != 15+56 {
		t.Errorf("%d seats", seats)
	}
}

func TestADeltaAppliesOnceAndOnlyInOrder(t *testing.T) {
	s := Stock{Epoch: 2, Seq: 5, Counts: []Counts{{Available: 3}}, Seats: []byte("aaa|")}
	next := &Delta{Epoch: 2, Seq: 6, Sale: SaleOpen, Counts: map[int]Counts{0: {Available: 1, Held: 2}}, Seats: []SeatRun{{1, "hh"}}}
	before := s.Clone()
	for _, gap := range []*Delta{{Epoch: 2, Seq: 7}, {Epoch: 3, Seq: 6}, {Epoch: 1, Seq: 6}} {
		if s.Apply(gap) || s.Seq != before.Seq || s.Epoch != before.Epoch {
			t.Errorf("%+v was applied at seq 5 of epoch 2", gap)
		}
	}
	for range 2 { // the second time it has it already
		if !s.Apply(next) || s.Seq != 6 || string(s.Seats) != "ahh|" || s.Counts[0].Held != 2 {
			t.Errorf("%+v", s)
		}
	}
	if string(before.Seats) != "aaa|" || before.Counts[0].Available != 3 {
		t.Error("a clone shares memory with its original")
	}
}

func TestOrdersAndSalesMoveForwardOnly(t *testing.T) {
	states := []OrderState{OrderAccepted, OrderClaimed, OrderPaid, OrderTicketed, OrderRejected, OrderDeclined, OrderRefunded}
	legal := 0
	for _, from := range states {
		for _, to := range states {
			if !from.CanBecome(to) {
				continue
			}
			legal++
			late := from == OrderDeclined && to == OrderClaimed
			if from.Final() && !late && !(from == OrderTicketed && to == OrderRefunded) {
				t.Errorf("%s is final, and may become %s", from, to)
			}
		}
	}
	if legal != 8 {
		t.Errorf("%d legal transitions, want the 8 of the design", legal)
	}
	for _, s := range []Sale{SaleDraft, SaleOpen, SalePaused, SaleRecovering} {
		if SaleClosed.CanBecome(s) {
			t.Errorf("a closed sale may become %s", s)
		}
	}
}

func TestTheDesignSaysHowOrdersMove(t *testing.T) {
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, moves, found := strings.Cut(string(text), "An order's moves,")
	moves, _, _ = strings.Cut(moves, "late payment")
	described := regexp.MustCompile("`([a-z]+) → ([a-z]+)`").FindAllStringSubmatch(moves, -1)
	legal := 0
	for _, to := range transitions {
		legal += len(to)
	}
	if !found || len(described) != legal {
		t.Errorf("DESIGN.md has %d moves, the vocabulary %d", len(described), legal)
	}
	for _, m := range described {
		if !OrderState(m[1]).CanBecome(OrderState(m[2])) {
			t.Errorf("DESIGN.md has %s, the vocabulary hasn't", m[0])
		}
	}
}

func TestFeedRunsTravelAsPairs(t *testing.T) {
	text, err := json.Marshal(FeedRun{12, "hh"})
	if err != nil || string(text) != `[12,"hh"]` {
		t.Errorf("%s, %v", text, err)
	}
	var back FeedRun
	if err := json.Unmarshal(text, &back); err != nil || back != (FeedRun{12, "hh"}) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestErrorsAreToldApartByCode(t *testing.T) {
	err := fmt.Errorf("hold: %w", Busy(CodeUnavailable, "ask again", time.Second, errors.New("broken pipe")))
	if CodeOf(err) != CodeUnavailable || !errors.Is(err, Refuse(CodeUnavailable, "other words")) || errors.Is(err, Refuse(CodeSoldOut, "")) {
		t.Errorf("%v has code %s", err, CodeOf(err))
	}
	if CodeOf(errors.New("x")) != CodeInternal || CodeOf(nil) != "" {
		t.Error("other errors are internal, none has no code")
	}
}

func TestLimitsFitEachOther(t *testing.T) {
	for promise, holds := range map[string]bool{
		"an ended hold is remembered longer than it could live": HoldMemory > MaxHoldTime,
		"a pin is no orphan while its produce is waited for":    OrphanAge > 2*ProduceTimeout,
		"a session outlives the longest hold and its order":     SessionTime > MaxHoldTime+OrphanAge,
		"a hold's lines fit a buyer's body":                     MaxLines*64+MaxPerBuyer*16 < MaxBodyBytes,
		"an order's amount is exact in a browser and in Redis":  MaxPrice*MaxPerBuyer <= 1<<53,
		"the default hold time is a legal one":                  MinHoldTime <= DefaultHoldTime && DefaultHoldTime <= MaxHoldTime,
	} {
		if !holds {
			t.Errorf("not so: %s", promise)
		}
	}
}
