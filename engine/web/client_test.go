package web_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"onsale"
	"onsale/internal/feedbin"
)

// What a browser sees is compared in the form of a snapshot: onsale.FeedSnapshot,
// written by this expression of a Stock.
const viewOf = `((stock) => stock.known ? {
	type: 'snapshot', event: stock.event, epoch: stock.epoch, seq: stock.seq, at: stock.at, sale: stock.sale,
	sections: [...stock.sections.values()].map((s) => ({ ...s, seats: stock.seatsText(s.id) })),
} : null)`

// fromHex is an ArrayBuffer of hex.
const fromHex = `((hex) => new Uint8Array((hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16))).buffer)`

// The script says what its fields mean; the client in Go is held to it too.
func TestPagesClientFollowsTheScript(t *testing.T) {
	text, err := os.ReadFile("../../internal/feedclient/testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var script struct {
		Cases []struct {
			Name  string
			Steps []map[string]json.RawMessage
			View  *onsale.FeedSnapshot
		}
	}
	if err := json.Unmarshal(text, &script); err != nil {
		t.Fatal(err)
	}
	p := openTab(t, newOffice(t, arena()).url, "/")
	for _, c := range script.Cases {
		t.Run(c.Name, func(t *testing.T) {
			steps, err := json.Marshal(c.Steps)
			if err != nil {
				t.Fatal(err)
			}
			got := value[struct {
				Steps []map[string]json.RawMessage
				View  *onsale.FeedSnapshot
			}](p, fmt.Sprintf(`import('/assets/feed_client.js').then(({ Client }) => {
				const client = new Client();
				const run = (step) => {
					if ('open' in step) return { open: client.opened() };
					if ('closed' in step) {
						const { withinMs, signIn } = client.closed(step.closed);
						return { closed: step.closed, within_ms: withinMs, ...(signIn && { sign_in: true }) };
					}
					const frame = client.read(step.binary === undefined ? JSON.stringify(step.frame) : %s(step.binary));
					const { verdict, request } = client.take(frame);
					return { verdict, ...(request && { send: request }) };
				};
				return { steps: %s.map(run), view: %s(client.stock) };
			})`, fromHex, steps, viewOf))
			for i, want := range c.Steps {
				delete(want, "frame")
				delete(want, "binary")
				if !sameJSON(t, got.Steps[i], want) {
					t.Errorf("step %d: %s, want %s", i, got.Steps[i], want)
				}
			}
			if !reflect.DeepEqual(got.View, c.View) {
				t.Errorf("view %+v, want %+v", got.View, c.View)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	var values [2]any
	for i, v := range []any{a, b} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &values[i]); err != nil {
			t.Fatal(err)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// readBinary is what the page reads of frames in hex, "" where it refuses.
func readBinary(p *tab, frames, sections []string) []json.RawMessage {
	p.t.Helper()
	list, names := must(json.Marshal(frames)), must(json.Marshal(sections))
	return value[[]json.RawMessage](p, fmt.Sprintf(`import('/assets/feed_frames.js').then(({ FrameError, readFrame }) => %s.map((hex) => {
		try { return readFrame(%s(hex), %s); } catch (error) { if (error instanceof FrameError) return ''; throw error; }
	}))`, list, fromHex, names))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPageReadsTheGoldenBinaryFrames(t *testing.T) {
	var golden []struct {
		Name     string
		Sections []string
		Hex      string
		Frame    json.RawMessage
	}
	text := must(os.ReadFile("../../internal/feedbin/testdata/golden.json"))
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	p := openTab(t, newOffice(t, arena()).url, "/")
	for _, g := range golden {
		if got := readBinary(p, []string{g.Hex}, g.Sections); !sameJSON(t, got[0], g.Frame) {
			t.Errorf("%s: read as %s, want %s", g.Name, got[0], g.Frame)
		}
		data := must(hex.DecodeString(g.Hex))
		var broken []string
		for n := range data {
			broken = append(broken, hex.EncodeToString(data[:n]))
		}
		broken = append(broken, g.Hex+"00", "2"+g.Hex[1:], g.Hex[:1]+"9"+g.Hex[2:])
		for i, got := range readBinary(p, broken, g.Sections) {
			if string(got) != `""` {
				t.Errorf("%s, broken as %s: read as %s", g.Name, broken[i], got)
			}
		}
	}
}

// The server's encoder and the page's decoder agree about any stock.
func TestPageReadsWhateverBinaryFrameTheServerWrites(t *testing.T) {
	p := openTab(t, newOffice(t, arena()).url, "/")
	rapid.Check(t, func(rt *rapid.T) {
		sections := []string{"north", "floor", "south"}
		var frames []string
		var want []any
		for range 15 {
			message, data := drawFrame(rt, sections)
			frames, want = append(frames, hex.EncodeToString(data)), append(want, message)
		}
		for i, got := range readBinary(p, frames, sections) {
			if !sameJSON(t, got, want[i]) {
				rt.Fatalf("%s: read as %s, want %+v", frames[i], got, want[i])
			}
		}
	})
}

func drawFrame(rt *rapid.T, sections []string) (message any, data []byte) {
	seats := rapid.StringOfN(rapid.RuneFrom([]rune("ahpswc|")), 1, 60, -1)
	number := rapid.Int64Range(0, 1<<52)
	counts := func() onsale.Counts {
		return onsale.Counts{Available: number.Draw(rt, "a"), Held: number.Draw(rt, "h"), Sold: number.Draw(rt, "s")}
	}
	seq := uint64(number.Draw(rt, "seq"))
	from, epoch := rapid.Uint64Range(0, seq).Draw(rt, "from"), onsale.Epoch(number.Draw(rt, "epoch"))
	at := time.UnixMilli(10*rapid.Int64Range(-1<<36, 1<<38).Draw(rt, "at") + 7).UTC() // JSON in Go would leave a last 0 away
	sale := rapid.SampledFrom([]onsale.Sale{onsale.SaleDraft, onsale.SaleOpen, onsale.SalePaused, onsale.SaleClosed, onsale.SaleRecovering}).Draw(rt, "sale")
	switch rapid.IntRange(0, 2).Draw(rt, "kind") {
	case 0:
		s := &onsale.FeedSnapshot{Type: onsale.FrameSnapshot, Event: "show", Epoch: epoch, Seq: seq, At: at, Sale: sale}
		for _, id := range sections {
			text := seats.Draw(rt, "seats")
			if rapid.Bool().Draw(rt, "uniform") {
				text = strings.Repeat(text[:1], 10*len(text))
			}
			s.Sections = append(s.Sections, onsale.FeedSection{ID: id, Counts: counts(), Seats: text})
		}
		return s, must(feedbin.Snapshot(s))
	case 1:
		d := &onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: epoch, From: from, Seq: seq, At: at, Sale: sale, Sections: map[string]onsale.FeedChanges{}}
		for _, id := range sections[rapid.IntRange(0, 3).Draw(rt, "unchanged"):] {
			first := onsale.FeedRun{Offset: rapid.IntRange(0, 999).Draw(rt, "offset"), States: seats.Draw(rt, "states")}
			second := onsale.FeedRun{Offset: first.Offset + len(first.States) + rapid.IntRange(0, 999).Draw(rt, "gap"), States: strings.Repeat("h", rapid.IntRange(1, 99).Draw(rt, "n"))}
			d.Sections[id] = onsale.FeedChanges{Counts: counts(), Seats: []onsale.FeedRun{first, second}}
		}
		return d, must(feedbin.Delta(d, sections))
	}
	s := &onsale.FeedSale{Type: onsale.FrameSale, Epoch: epoch, From: from, Seq: seq, At: at, Sale: sale}
	return s, must(feedbin.Sale(s))
}
