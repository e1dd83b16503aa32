package onsale

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// plainValue is what writes and reads itself.
type plainValue interface {
	AppendJSON(to []byte) ([]byte, error)
	ParseJSON(text []byte) error
}

// Generators that the tests share; so they don't run in parallel, which rapid's are not made for.
var (
	anyText = rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9_-]{0,12}`), rapid.String())
	anyTime = rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-1e11, 4e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		return rapid.SampledFrom([]time.Time{{}, at.UTC(), at.UTC().Truncate(time.Millisecond), at.In(time.FixedZone("", 5400)), at.In(time.FixedZone("", 17))}).Draw(t, "time")
	})
	anyLines = rapid.Custom(func(t *rapid.T) []Line {
		line := rapid.Custom(func(t *rapid.T) Line {
			return Line{Section: anyText.Draw(t, "section"), Quantity: rapid.Int().Draw(t, "quantity"), Seats: rapid.SliceOfN(anyText, 0, 3).Draw(t, "seats")}
		})
		if rapid.Bool().Draw(t, "no lines") {
			return nil
		}
		return rapid.SliceOfN(line, 0, 3).Draw(t, "lines")
	})
)

// draw fills every field of a struct that JSON has.
func draw(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch f := v.Field(i); f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(anyTime.Draw(t, name)))
		case []Line:
			f.Set(reflect.ValueOf(anyLines.Draw(t, name)))
		default:
			switch f.Kind() {
			case reflect.String:
				f.SetString(anyText.Draw(t, name))
			case reflect.Int64:
				f.SetInt(rapid.Int64().Draw(t, name))
			case reflect.Uint64:
				f.SetUint(rapid.Uint64().Draw(t, name))
			default:
				t.Fatalf("no values for a %s", f.Type())
			}
		}
	}
}

// kinds are the values that travel, empty.
func kinds() []plainValue {
	return []plainValue{&Purchase{}, &Charge{}, &ChargeResult{}, &OrderNews{}, &Hold{}}
}

func TestWhatIsAppendedIsWhatMarshalWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var values []interface {
			AppendJSON(to []byte) ([]byte, error)
		}
		for _, v := range kinds() {
			values = append(values, v)
		}
		for _, v := range append(values, &Order{}) {
			draw(t, reflect.ValueOf(v).Elem())
			want, wantErr := json.Marshal(v)
			got, err := v.AppendJSON([]byte("before"))
			if (err == nil) != (wantErr == nil) || err == nil && string(got) != "before"+string(want) {
				t.Fatalf("%T: got %s, %v; want %s, %v", v, got, err, want, wantErr)
			}
		}
		lines := anyLines.Draw(t, "lines")
		want, _ := json.Marshal(lines)
		if got, err := AppendLines(nil, lines); err != nil || string(got) != string(want) {
			t.Fatalf("got %s, %v; want %s", got, err, want)
		}
	})
}

// readAsUnmarshal checks that a text is read as json.Unmarshal reads it, or refused as well.
func readAsUnmarshal(t interface{ Fatalf(string, ...any) }, text []byte) {
	for _, got := range kinds() {
		want := reflect.New(reflect.TypeOf(got).Elem()).Interface()
		wantErr := json.Unmarshal(text, want)
		err := got.ParseJSON(text)
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%T of %q: got %+v, %v; want %+v, %v", got, text, got, err, want, wantErr)
		}
	}
	var refusal, wantRefusal Error
	wantErr := json.Unmarshal(text, &wantRefusal)
	if err := refusal.ParseJSON(text); (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(refusal, wantRefusal) {
		t.Fatalf("refusal of %q: got %+v, %v; want %+v, %v", text, refusal, err, wantRefusal, wantErr)
	}
	var want []Line
	wantErr = json.Unmarshal(text, &want)
	if got, err := ParseLines(string(text)); (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("lines of %q: got %+v, %v; want %+v, %v", text, got, err, want, wantErr)
	}
}

func TestWhatIsParsedIsWhatUnmarshalReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, v := range kinds() {
			draw(t, reflect.ValueOf(v).Elem())
			if text, err := json.Marshal(v); err == nil {
				readAsUnmarshal(t, text)
			}
		}
		if text, err := json.Marshal(anyLines.Draw(t, "lines")); err == nil {
			readAsUnmarshal(t, text)
		}
	})
}

func FuzzParsingIsUnmarshalling(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"order":"a"}x`, `{"order":"a",}`, `{"Order":"a"}`, `{"order":"a","order":"b"}`, `{"order":null,"more":[1,{}]}`,
		`{"amount":-0}`, `{"amount":01}`, `{"amount":1.0}`, `{"amount":1e3}`, `{"epoch":-1}`, `{"amount":99999999999999999999}`, `{"amount":-}`, `{"amount":}`,
		`{"at":"2026-01-02T03:04:05Z"}`, `{"at":"2026-01-02T03:04:05.123456789+00:00"}`, `{"at":"2026-01-02t03:04:05Z"}`, `{"at":"2026-1-02T03:04:05Z"}`, `{"at":""}`,
		`{"order":"\u0041"}`, "{\"order\":\"\xff\"}", "{\"order\":\"\x7f\"}", "{\"order\":\"\n\"}", `{"order":"a`, `{"order"`, `{`, ``, `null`, `{"order" : "a" , "lines" : [ ] }`,
		`[{"seats": ["A-1", "A-2"], "section": "stalls", "quantity": 2}]`, `[{"seats":[]}]`, `[{}]`, `[{},]`, `[{"seats":["a",]}]`, `{"lines":[{"section":"x"},{"quantity":3}],"left":[]}`,
		`{"type":"about:blank","title":"Conflict","status":409,"code":"sold_out","detail":"none","section":"a","available":2,"nearby":[{"section":"b","available":3,"seats":["A-1"]},{}]}`,
		`{"nearby":[{"section":"a","available":3}],"nearby":[{"section":"b"}]}`, `{"available":null}`, `{"status":"x"}`, `{"seats":["A-1"],"nearby":[]}`, `{"first":{"gate":"x"}}`, `{"payments":["p"]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { readAsUnmarshal(t, text) })
}

func BenchmarkPurchase(b *testing.B) {
	hold := NewHoldID("concert", 1)
	p := Purchase{Order: hold.Order(), Hold: hold, Event: "concert", Epoch: 1, Generation: 1, Buyer: NewBuyerID(), Lines: []Line{{Section: "floor", Quantity: 1}},
		Amount: 4900, Currency: "EUR", PaymentToken: "tok_ok", At: time.UnixMilli(17e11).UTC()}
	text, err := p.AppendJSON(nil)
	if err != nil {
		b.Fatal(err)
	}
	room := make([]byte, 0, 512)
	for name, work := range map[string]func() error{
		"appended":     func() error { _, err := p.AppendJSON(room[:0]); return err },
		"marshalled":   func() error { _, err := json.Marshal(p); return err },
		"parsed":       func() error { return new(Purchase).ParseJSON(text) },
		"unmarshalled": func() error { return json.Unmarshal(text, new(Purchase)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := work(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
