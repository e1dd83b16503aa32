package holds

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"onsale"
)

// What goes between Go and Lua is text. These take whatever text there is, and hold
// that no text breaks anything, and that what one side writes the other reads as the
// same words. Their seeds are tested by go test; go test -fuzz looks for more.

// wireLayout has every kind of section and seat.
func wireLayout(t testing.TB) *onsale.Layout {
	t.Helper()
	event := &onsale.Event{ID: "concert", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), MaxPerBuyer: 4}
	trialEvent(event)
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	return onsale.NewLayout(event)
}

func FuzzRecord(f *testing.F) {
	l := wireLayout(f)
	for _, text := range []string{
		"h|1|1800000000000|0|0|buy_a|-|0@0.1,1*2", "p|2|1|1|1|buy_a|0Kq-_x9wAAAA|0@10w.11c", "o|1|0|0|0|||3*1", "@hld_concert_1_x", "",
		"h|1|1|0|0|a|b|c|0*1", "h|18446744073709551615|9223372036854775807|-1|+1|\x00|é,@*|0*99999999999999999999", "hh|1|1|0|0|a|b|0*1",
		"h|1|1|0|0|a|b|0@", "h|1|1|0|0|a|b|*", "h|1|1|0|0|a|b|0*-5", "h|1|1|0|0|a|b|0@6", "h|1|1|0|0|a|b|1@0", "h|1|1|0|0|a|b|-1*1,200*1,,", "h|1|1|0|0|a|0*1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := parseRecord(text)
		if err != nil {
			return
		}
		if strings.Count(text, "|") != 7 {
			t.Fatalf("%q has not eight fields, and is %+v", text, rec)
		}
		again, err := parseRecord(rec.String())
		if err != nil || again != rec {
			t.Fatalf("%q is %+v, written and read again %+v, %v", text, rec, again, err)
		}
		hold, err := rec.hold("hld", l)
		if err == nil && (hold.Buyer != rec.buyer || hold.State == "" || len(hold.Lines) == 0) {
			t.Fatalf("%q is the hold %+v", text, hold)
		}
	})
}

func FuzzLines(f *testing.F) {
	l := wireLayout(f)
	for _, lines := range []string{
		`[{"section":"floor","quantity":3}]`, `[{"section":"stand","seats":["C-1","A-5","E-9"]},{"section":"circle","seats":["B-7"]},{"section":"lawn","quantity":1}]`,
		`[{"section":"stand","seats":["A-01"]}]`, `[{"section":"stand","seats":["A-1|","A@1","A,1"]}]`, `[{"section":"floor","quantity":9223372036854775807}]`,
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var lines []onsale.Line
		if json.Unmarshal(text, &lines) != nil {
			return
		}
		if _, err := l.CheckLines(lines); err != nil {
			return
		}
		for i := range lines {
			if len(lines[i].Seats) == 0 {
				lines[i].Seats = nil
			}
		}
		wire := encodeLines(lines, l)
		again, err := decodeLines(wire, l)
		if err != nil || !reflect.DeepEqual(again, lines) {
			t.Fatalf("%+v goes as %q and comes back as %+v, %v", lines, wire, again, err)
		}
	})
}

func FuzzDelta(f *testing.F) {
	l := wireLayout(f)
	for _, text := range []string{
		`{"e":1,"q":1,"t":1800000000000,"s":"open","n":0,"c":{"0":[1,2,3,4]},"x":[[0,"hh"],[5,"a"]]}`, `{"e":1,"q":1}`, `{"e":1,"q":0,"s":"recovering"}`,
		`{"e":1,"q":1,"c":{"-1":[0,0,0,0]}}`, `{"e":1,"q":1,"c":{"4":[0,0,0,0]}}`, `{"e":1,"q":1,"c":{"03":[-9223372036854775808,0,0,0,7]}}`,
		`{"e":1,"q":1,"x":[[-1,"h"]]}`, `{"e":1,"q":1,"x":[[38,"hhhhhhhhh"]]}`, `{"e":1,"q":1,"x":[[null,null],[],[0]]}`,
		`{"e":1,"q":1,"x":[[9223372036854775807,"h"]]}`, `{"e":1,"q":1,"x":[[9223372036854775806,"hh"]]}`, `{"e":18446744073709551616}`, `[]`, ``, "null",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, _, err := decodeDelta(l, text)
		if err != nil {
			return
		}
		stock := &onsale.Stock{Epoch: d.Epoch, Seq: d.Seq - 1, Counts: make([]onsale.Counts, len(l.Sections())), Seats: l.Empty()}
		stock.Apply(d) // must stay within the house, or it panics
		if len(stock.Counts) != len(l.Sections()) || len(stock.Seats) != l.Length() {
			t.Fatalf("%q makes a house of %d sections, %d seats", text, len(stock.Counts), len(stock.Seats))
		}
	})
}

// FuzzAsk has a buyer of any name ask for anything under any key. Whatever CheckAsks
// lets through Redis must answer in its own words, and keep its sums. Only what
// separates a record's fields, and replies, is kept out of names: no buyer that BuyerID.Valid passes has it.
func FuzzAsk(f *testing.F) {
	for _, asks := range []string{
		`[{"section":"floor","quantity":4}]`, `[{"section":"stand","seats":["C-1","C-2"],"accessible":true}]`, `[{"section":"stand","seats":["C-1"]}]`,
		`[{"sections":["circle","stand","lawn"],"quantity":4,"split":true},{"section":"floor","quantity":1}]`, `[{"price":5000,"quantity":3,"wheelchair":1}]`,
		`[{"section":"stand","quantity":3,"wheelchair":2,"split":true}]`, `[{"section":"stand","quantity":7,"wheelchair":7,"split":true}]`,
		`[{"section":"stand","quantity":2},{"section":"stand","seats":["A-1","A-2"]},{"section":"stand","quantity":2}]`,
		`[{"section":"floor","quantity":9223372036854775807}]`, `[{"section":"floor","quantity":-1}]`, `[{"section":"floor","quantity":1,"wheelchair":1}]`,
		`[{"section":"stand","seats":["A|1"]}]`, `[{"sections":["floor","floor"],"quantity":1}]`, `[]`, `[{"price":8000,"quantity":7}]`,
	} {
		f.Add("buy_0123456789abcdefghjkmnpqrs", "key", []byte(asks))
	}
	for _, name := range []string{"", " ", "a b", "a,b@0*1", "\x00", "é\u202e", "\xff\xfe", "\t", "%d%s", "99999999999999999999", "-", "0*1", strings.Repeat("x", 4096)} {
		f.Add(name, "k"+name, []byte(`[{"section":"floor","quantity":1},{"section":"stand","seats":["A-1","C-2"],"accessible":true}]`))
		f.Add("buy_a", name, []byte(`[{"section":"circle","quantity":2}]`))
	}
	f.Fuzz(func(t *testing.T, name, key string, text []byte) {
		var asks []onsale.Ask
		if strings.ContainsAny(name, "|\n") || json.Unmarshal(text, &asks) != nil {
			return
		}
		h := newHouse(t, trialEvent)
		checked, err := h.layout.CheckAsks(asks)
		if err != nil {
			return
		}
		buyer := onsale.BuyerID(name)
		r := Request{Buyer: buyer, Asks: checked, Key: key}
		hold, err := eitherHold(t.Context(), h.desk, h.layout, r)
		h.wantOnly(buyer, hold)
		if err != nil {
			if code := onsale.CodeOf(err); !slices.Contains([]onsale.Code{onsale.CodeSoldOut, onsale.CodeNotTogether, onsale.CodeSeatTaken, onsale.CodeAccessible}, code) {
				t.Fatalf("an empty house answers %v", err)
			}
			return
		}
		h.wantAnswered(asks, hold)
		if key != "" {
			if again, err := eitherHold(t.Context(), h.desk, h.layout, r); err != nil || !reflect.DeepEqual(again, hold) {
				t.Fatalf("asked again: %+v, %v; at first %+v", again, err, hold)
			}
		}
		h.wantSame(buyer, hold)
	})
}

// wantOnly checks that the buyer has what the hold has, that every seat that is
// missing is the hold's, and that each section adds up.
func (h *house) wantOnly(buyer onsale.BuyerID, hold onsale.Hold) {
	h.t.Helper()
	view, err := h.desk.Inspect(h.t.Context(), h.layout)
	if err != nil {
		h.t.Fatal(err)
	}
	if got := view.Buyers[buyer]; got != int64(onsale.Quantity(hold.Lines)) {
		h.t.Fatalf("%q has %d in Redis, and holds %+v", buyer, got, hold.Lines)
	}
	want, left := h.layout.Empty(), map[string]int64{}
	for _, line := range hold.Lines {
		left[line.Section] = int64(line.Quantity)
		for _, seat := range line.Seats {
			offset, _ := h.layout.Section(line.Section).Offset(seat)
			want[offset] = onsale.SeatHeld
		}
	}
	if string(view.Stock.Seats) != string(want) {
		h.t.Fatalf("the house is %s, want %s", view.Stock.Seats, want)
	}
	for i, c := range view.Stock.Counts {
		s := h.layout.Sections()[i]
		if held := left[s.ID]; c != (onsale.Counts{Available: s.Capacity - held, Held: held}) {
			h.t.Fatalf("%s: %+v of %d, with %d held", s.ID, c, s.Capacity, held)
		}
	}
}

// wantAnswered checks that the hold has all that was asked for: every picked seat, and
// as many admissions as all asks together.
func (h *house) wantAnswered(asks []onsale.Ask, hold onsale.Hold) {
	h.t.Helper()
	n, has := 0, map[string]bool{}
	for _, line := range hold.Lines {
		for _, seat := range line.Seats {
			has[line.Section+" "+seat] = true
		}
	}
	for _, a := range asks {
		n += max(a.Quantity, len(a.Seats))
		for _, seat := range a.Seats {
			if where := slices.Concat(a.Sections, []string{a.Section}); !slices.ContainsFunc(where, func(s string) bool { return has[s+" "+seat] }) {
				h.t.Fatalf("asked for seat %s, got %+v", seat, hold.Lines)
			}
		}
	}
	if onsale.Quantity(hold.Lines) != n || hold.Amount < 0 {
		h.t.Fatalf("asked for %d, got %+v", n, hold)
	}
}

// wantSame checks that the hold is read, pinned and freed as it was granted.
func (h *house) wantSame(buyer onsale.BuyerID, hold onsale.Hold) {
	h.t.Helper()
	seen, err := h.desk.Look(h.t.Context(), h.layout, hold.ID, buyer)
	if err != nil || !reflect.DeepEqual(seen, hold) {
		h.t.Fatalf("looked at: %+v, %v; granted %+v", seen, err, hold)
	}
	pinned, err := eitherPin(h.t.Context(), h.desk, h.layout, hold.ID, buyer, math.MaxUint64)
	wantCode(h.t, err, onsale.CodeHoldEnded)
	if pinned, err = eitherPin(h.t.Context(), h.desk, h.layout, hold.ID, buyer, hold.Generation); err != nil || fmt.Sprint(pinned.Lines) != fmt.Sprint(hold.Lines) {
		h.t.Fatalf("pinned: %+v, %v; granted %+v", pinned, err, hold)
	}
	h.settle(hold.ID, false)
	h.wantOnly(buyer, onsale.Hold{})
}
