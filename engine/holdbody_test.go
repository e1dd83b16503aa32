package engine

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"onsale"
)

func TestHoldsAreWrittenAsTheirFieldsSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9_-]{0,12}`), rapid.String())
		line := rapid.Custom(func(t *rapid.T) onsale.Line {
			return onsale.Line{Section: text.Draw(t, "section"), Quantity: rapid.Int().Draw(t, "quantity"), Seats: rapid.SliceOfN(text, 0, 3).Draw(t, "seats")}
		})
		h := onsale.Hold{
			ID: onsale.HoldID(text.Draw(t, "id")), Event: onsale.EventID(text.Draw(t, "event")), State: onsale.HoldState(text.Draw(t, "state")),
			Generation: rapid.Uint64().Draw(t, "generation"), ExpiresAt: time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "expires")).UTC(),
			Lines: rapid.SliceOfN(line, 0, 3).Draw(t, "lines"), Amount: rapid.Int64().Draw(t, "amount"), Currency: text.Draw(t, "currency"),
		}
		if rapid.Bool().Draw(t, "no lines") {
			h.Lines = nil
		}
		want, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendHold(nil, &h)
		if err != nil || string(got) != string(want) {
			t.Fatalf("got %s, %v; want %s", got, err, want)
		}
	})
}

func BenchmarkHoldBody(b *testing.B) {
	h := onsale.Hold{ID: "hld_concert_1_0123456789abcdefghjkmnpqrs", Event: "concert", State: onsale.HoldHeld, Generation: 1,
		ExpiresAt: time.UnixMilli(17e11).UTC(), Lines: []onsale.Line{{Section: "floor", Quantity: 1}}, Amount: 4900, Currency: "EUR"}
	b.Run("written", func(b *testing.B) {
		for b.Loop() {
			if _, err := appendHold(nil, &h); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("marshalled", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(h); err != nil {
				b.Fatal(err)
			}
		}
	})
}
