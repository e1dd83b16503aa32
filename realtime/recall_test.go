package realtime

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"onsale"
	"onsale/internal/feedclient"
)

// still returns a hub that nothing but the test moves.
func still(t *testing.T, h *house) *hub {
	t.Helper()
	g, err := New(Config{Source: h, Lookup: (&street{}).lookup, Verify: verify})
	if err != nil {
		t.Fatal(err)
	}
	hub := newHub(g, h.layout)
	stop, err := h.Watch(t.Context(), h.layout, hub)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return hub
}

func TestClientIsLedOnFromWhereItStandsOrGetsASnapshot(t *testing.T) {
	h := newHouse(t, "show", 20, 50)
	r := rand.New(rand.NewPCG(1, 1))
	h.newEpoch()
	for range 5 {
		h.turn(r, 2, true)
	}
	hub := still(t, h) // it reads the stock at 5
	for range 10 {
		h.turn(r, 2, true)
	}
	hub.publish()
	h.turn(r, 2, true) // known, and not published yet
	cases := map[string]struct {
		from place
		led  bool
	}{
		"nowhere":                 {place{}, false},
		"where the server began":  {place{2, 5}, true},
		"between two frames":      {place{2, 9}, true},
		"nothing missed":          {place{2, 15}, true},
		"before the server began": {place{2, 4}, false},
		"ahead of the server":     {place{2, 16}, false},
		"an earlier epoch":        {place{1, 9}, false},
		"a later epoch":           {place{3, 9}, false},
	}
	for name, c := range cases {
		m, position := hub.since(c.from)
		if (m != nil) != c.led {
			t.Errorf("%s: led on is %v, want %v", name, m != nil, c.led)
		}
		if c.led && position != hub.backlog.Load().end() {
			t.Errorf("%s: then at %d, and what is next is %d", name, position, hub.backlog.Load().end())
		}
	}
	if again, _ := hub.since(place{2, 9}); again != hub.missed[9] {
		t.Error("what leads on from one place is made twice")
	}
	for seq := range uint64(3 * maxMissed) {
		hub.since(place{2, seq})
	}
	if n := len(hub.missed); n > maxMissed {
		t.Errorf("%d are kept, want %d at the most", n, maxMissed)
	}
	for range 2 * h.layout.Length() / missedRunBytes {
		h.turn(r, 2, true)
	}
	hub.publish()
	if m, _ := hub.since(place{2, 15}); m != nil {
		t.Error("who missed a lot is told it piece by piece, in more bytes than the snapshot takes")
	}
}

// The seq of a striped event is the sum of its books', so two processes may mean two stocks by one.
func TestClientOfAStripedEventIsNeverLedOnFromAnotherConnection(t *testing.T) {
	event := &onsale.Event{ID: "striped", Name: "A night", StartsAt: noon, Currency: "EUR", Stripes: 2,
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 3000, Capacity: 100}}}
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	h := &house{layout: onsale.NewLayout(event), listeners: map[Listener]bool{}, history: map[moment]*onsale.FeedSnapshot{}}
	h.refill(1)
	hub := still(t, h)
	hub.publish()
	if m, _ := hub.since(place{1, 0}); m != nil {
		t.Error("a client was led on")
	}
}

// What a rolling restart looks like to a client: another process, with other frames.
func TestClientThatComesBackToAnotherProcessIsToldJustWhatItMissed(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	first, second := serve(t, nil, h), serve(t, nil, h)
	for _, protocol := range protocols {
		b := first.openAs(t, h, protocol, nil)
		witness := second.open(t, h)
		r := rand.New(rand.NewPCG(1, 1))
		for range 7 {
			h.turn(r, 3, true)
			eventually(t, witness.sees)
		}
		eventually(t, b.sees)
		b.leave()
		for range 20 {
			h.turn(r, 3, true)
		}
		eventually(t, witness.sees)
		back := second.comeBack(t, b)
		eventually(t, back.sees)
		if n, m := back.got(onsale.FrameSnapshot), back.got(onsale.FrameDelta); n != 0 || m != 1 {
			t.Errorf("%s: %d snapshots and %d deltas, want 0 and 1", protocol, n, m)
		}
		if _, err := second.dialAs(protocol, "show?epoch=1&seq=x", nil); onsale.CodeOf(err) != onsale.CodeBadRequest {
			t.Errorf("a place that is none: %v", err)
		}
		if _, err := second.dialAs(protocol, "show?epoch=1", nil); onsale.CodeOf(err) != onsale.CodeBadRequest {
			t.Errorf("half a place: %v", err)
		}
	}
}

func TestFrameIsEncodedOnceForEachEncodingThatSomebodyWants(t *testing.T) {
	h := newHouse(t, "show", 5, 5)
	hub := still(t, h)
	hub.publish()
	text := []*conn{{hub: hub}, {hub: hub}, {hub: hub}}
	want := func(conns []*conn) (first *frame) {
		t.Helper()
		for _, c := range conns {
			f := c.next()
			if first == nil {
				first = f
			}
			if f == nil || f != first {
				t.Fatal("two clients with one encoding get two frames")
			}
		}
		return first
	}
	want(text)
	if hub.snapshot.frames[asBinary].Load() != nil {
		t.Error("a snapshot was encoded that nobody wants")
	}
	h.turn(rand.New(rand.NewPCG(1, 1)), 3, true)
	hub.publish()
	want(text)
	m, _ := hub.backlog.Load().at(hub.backlog.Load().end() - 1)
	if m.frames[asBinary].Load() != nil {
		t.Error("a delta was encoded that nobody wants")
	}
	binary := []*conn{{hub: hub, form: asBinary}, {hub: hub, form: asBinary}}
	if f := want(binary); f == want([]*conn{{hub: hub}}) {
		t.Error("two encodings are one frame")
	}
}

func TestHelloNamesTheEpochAndTheProtocolIsTheClientsChoice(t *testing.T) {
	h := newHouse(t, "show", 2, 5)
	h.newEpoch()
	s := serve(t, nil, h)
	first := s.open(t, h)
	eventually(t, first.sees)
	for _, protocol := range protocols {
		ws, err := s.dialAs(protocol, "show", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		f, err := feedclient.Parse(data)
		if err != nil || f.Hello == nil || f.Hello.Epoch != 2 || ws.Subprotocol() != protocol {
			t.Errorf("%s: %s began with %+v, %v", protocol, ws.Subprotocol(), f, err)
		}
	}
}

// watching returns an error unless the buyer has so many connections.
func (s *stage) watching(buyer onsale.BuyerID, want int) error {
	if n := len(s.gateway.audience.of(buyer)); n != want {
		return fmt.Errorf("%s has %d connections, want %d", buyer, n, want)
	}
	return nil
}
