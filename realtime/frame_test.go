package realtime

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"pgregory.net/rapid"

	"onsale"
	"onsale/internal/feedclient"
)

// Every length that is written another way, and its neighbours.
func TestFramesOfEveryLengthAreReadAsWritten(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	lengths := []int{0, 1, 125, 126, 127, 65535, 65536, 200_000}
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		defer server.Close()
		// What follows the answer to an upgrade is the frames.
		buffer := make([]byte, 4096)
		n, err := server.Read(buffer)
		if err != nil {
			t.Error(err)
			return
		}
		request := buffer[:n]
		key := bytes.SplitN(bytes.SplitN(request, []byte("Sec-WebSocket-Key: "), 2)[1], []byte("\r\n"), 2)[0]
		if err := (handshake{key: string(key)}).answer(server); err != nil {
			t.Error(err)
			return
		}
		for _, n := range lengths {
			if _, err := server.Write(wire(websocket.TextMessage, bytes.Repeat([]byte("x"), n))); err != nil {
				t.Error(err)
			}
		}
	})
	dialer := websocket.Dialer{Subprotocols: protocols[:], NetDial: func(string, string) (net.Conn, error) { return client, nil }}
	ws, _, err := dialer.Dial("ws://pipe/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range lengths {
		kind, data, err := ws.ReadMessage()
		if err != nil || kind != websocket.TextMessage || len(data) != n {
			t.Errorf("length %d: read %d of kind %d, %v", n, len(data), kind, err)
		}
	}
}

// A delta is exactly the difference, however different the two stocks are.
func TestDeltaLeadsFromAnyStockToAnyOther(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHouse(t, "show", 3, 7)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		older := h.stock.Clone()
		for range rapid.IntRange(0, 20).Draw(rt, "changes") {
			h.turn(r, 1+r.IntN(5), true)
		}
		var fold feedclient.Fold
		for _, f := range []*frame{textFrame(kindSnapshot, Snapshot(h.layout, older)), textFrame(kindDelta, diff(h.layout, older, h.stock))} {
			parsed, err := feedclient.Parse(payloadOf(f))
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := fold.Apply(parsed); err != nil {
				rt.Fatal(err)
			}
		}
		if err := feedclient.Differ(fold.View(), h.view()); err != nil {
			rt.Fatal(err)
		}
		if !same(older, h.stock) {
			rt.Fatal("the older stock was not made equal to the newer one")
		}
	})
}

func TestDeltaSaysNothingOfWhatDidNotChange(t *testing.T) {
	h := newHouse(t, "show", 2, 4)
	older := h.stock.Clone()
	newer := older.Clone()
	newer.Seq++
	newer.Counts[0] = onsale.Counts{Available: 5, Held: 3}
	for _, at := range []int{1, 2, 6} {
		newer.Seats[at] = onsale.SeatHeld
	}
	d := diff(h.layout, older, newer)
	if len(d.Sections) != 1 || len(d.Sections["stand"].Seats) != 2 {
		t.Errorf("%+v, want two runs of one section", d.Sections)
	}
}

// However the places grow between and within rounds, a round tells each of those that there were when it began.
func TestARoundTellsEverybodyOnce(t *testing.T) {
	var r round
	for _, places := range []int{1, fanOutChunk, 40 * fanOutChunk, 100*fanOutChunk + 1, 3 * fanOutChunk} {
		r.begin(places)
		told := map[int]int{}
		for rest := r.slice(); rest > 0; rest = r.slice() {
			for range rest {
				told[r.take()]++
			}
		}
		for from := 0; from < places; from += fanOutChunk {
			if told[from] != 1 {
				t.Errorf("of %d places those from %d on were told %d times", places, from, told[from])
			}
		}
		r.begin(places) // one that is overtaken by the next in the middle
		for range r.slice() / 2 {
			r.take()
		}
	}
}

func TestPositionsStayTrueWhileTheBacklogMovesOn(t *testing.T) {
	var b *backlog
	b = b.restart(1)
	if _, behind := b.at(0); !behind {
		t.Error("a new client is owed no snapshot")
	}
	var frames []*message
	start := b.end()
	for range 3 * backlogFrames {
		frames = append(frames, &message{})
		b = b.with(frames[len(frames)-1], uint64(len(frames)))
	}
	for i, want := range frames {
		f, behind := b.at(start + uint64(i))
		if old := i < len(frames)-backlogFrames; behind != old || !old && f != want {
			t.Errorf("frame %d of %d: behind %v", i, len(frames), behind)
		}
	}
	for i := range frames {
		if at, several := b.stands(start + uint64(i)); several != (i < len(frames)-1) || several && at != (place{1, uint64(i + 1)}) {
			t.Errorf("who misses frame %d of %d stands at %+v, %v", i, len(frames), at, several)
		}
	}
	if f, behind := b.at(b.end()); f != nil || behind {
		t.Error("a client that has everything is owed something")
	}
	before := b.end()
	if b = b.restart(1); b.end() <= before {
		t.Error("a restart leaves a position of before valid")
	}
	if _, behind := b.at(before); !behind {
		t.Error("a restart owes no snapshot to a client that had everything")
	}
}

func TestPassMissesNobodyWhoWasThereWhenItBegan(t *testing.T) {
	var r roster
	var staying []*conn
	for i := range 3 * fanOutChunk {
		c := &conn{}
		r.add(c)
		if i%3 == 0 {
			staying = append(staying, c)
		}
	}
	seen, left := map[*conn]int{}, 0
	for from := 0; r.chunk(from, func(c *conn) {
		seen[c]++
		if c.place%3 != 0 { // all others leave in the middle of the pass
			r.remove(c)
			left++
		}
	}); from += fanOutChunk {
	}
	for _, c := range staying {
		if seen[c] != 1 {
			t.Fatalf("place %d was passed %d times", c.place, seen[c])
		}
	}
	for range left {
		r.add(&conn{})
	}
	if n := r.places(); n != 3*fanOutChunk {
		t.Errorf("%d places for %d connections: those that were left aren't taken again", n, 3*fanOutChunk)
	}
}

// payloadOf is what an unfragmented frame carries.
func payloadOf(f *frame) []byte {
	header := 2
	switch f.wire[1] {
	case 126:
		header += 2
	case 127:
		header += 8
	}
	return f.wire[header:]
}
