package bench

// What the fake shows: its stock, and the feed of it, with the wrongs that a feed can do.

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
)

// change moves what a hold has to another state and tells every client. It is called with mu.
func (f *fake) change(h *onsale.Hold, to onsale.HoldState) {
	d := onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: f.epoch, From: f.view.Seq, Seq: f.view.Seq + 1,
		At: time.Now(), Sale: f.event.Sale, Sections: map[string]onsale.FeedChanges{}}
	f.view.Seq, f.view.At, f.view.Sale = d.Seq, d.At, d.Sale
	if h != nil {
		f.view.Sections = slices.Clone(f.view.Sections)
		for _, line := range h.Lines {
			section := f.layout.Section(line.Section)
			shown := &f.view.Sections[section.Index]
			changes := onsale.FeedChanges{}
			letters := []byte(shown.Seats)
			for _, seat := range line.Seats {
				offset, _ := section.Offset(seat)
				letters[offset-section.Start] = f.letter(to)
				changes.Seats = append(changes.Seats, onsale.FeedRun{Offset: offset - section.Start, States: string(f.letter(to))})
			}
			shown.Seats = string(letters)
			shown.Counts = f.count(section, shown)
			changes.Counts = shown.Counts
			d.Sections[line.Section] = changes
		}
	}
	for c := range f.clients {
		c.tell(f, d)
	}
}

// count adds up a section: its letters, or the holds of a general one. It is called with mu.
func (f *fake) count(section *onsale.SectionLayout, shown *onsale.FeedSection) (c onsale.Counts) {
	if section.Kind == onsale.Reserved {
		n := func(letter byte) int64 { return int64(strings.Count(shown.Seats, string(letter))) }
		return onsale.Counts{Available: n(onsale.SeatAvailable), Held: n(onsale.SeatHeld), Pinned: n(onsale.SeatPinned), Sold: n(onsale.SeatSold)}
	}
	for _, h := range f.holds {
		for _, line := range h.Lines {
			if line.Section != section.ID {
				continue
			}
			switch h.State {
			case onsale.HoldHeld:
				c.Held += int64(line.Quantity)
			case onsale.HoldPinned:
				c.Pinned += int64(line.Quantity)
			case onsale.HoldSold:
				c.Sold += int64(line.Quantity)
			}
		}
	}
	c.Available = section.Capacity - c.Held - c.Pinned - c.Sold
	if f.breaks.sellsBeyondCapacity {
		c.Available = section.Capacity
	}
	return c
}

// letter is how the feed shows a seat whose hold is in the given state.
func (f *fake) letter(s onsale.HoldState) byte {
	if f.breaks.sellsSeatsTwice {
		return onsale.SeatAvailable
	}
	switch s {
	case onsale.HoldHeld:
		return onsale.SeatHeld
	case onsale.HoldPinned:
		return onsale.SeatPinned
	case onsale.HoldSold:
		return onsale.SeatSold
	}
	return onsale.SeatAvailable
}

// fakeClient is one feed of a fake. Its fields but conn are under the fake's mu.
type fakeClient struct {
	conn   *websocket.Conn
	number int
	buyer  string
	out    chan any
	told   int // deltas
}

// fakeBacklog is more frames than any test sends to one client.
const fakeBacklog = 10_000

func (f *fake) live(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{onsale.FeedProtocol}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &fakeClient{conn: conn, out: make(chan any, fakeBacklog)}
	f.mu.Lock()
	c.number = len(f.clients)
	f.clients[c] = true
	c.send(onsale.FeedHello{Type: onsale.FrameHello, ServerTime: time.Now(), HeartbeatMs: 15_000})
	if r.FormValue("epoch") != "" {
		f.resumed++
	}
	if r.FormValue("epoch") == fmt.Sprint(f.epoch) && r.FormValue("seq") == fmt.Sprint(f.view.Seq) {
		c.send(onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: f.epoch, From: f.view.Seq, Seq: f.view.Seq, At: f.view.At, Sale: f.event.Sale})
	} else {
		c.send(f.view)
	}
	f.mu.Unlock()
	var writing sync.WaitGroup
	writing.Go(func() {
		for frame := range c.out {
			_ = conn.WriteJSON(frame) // the reader below notices that it's gone
		}
	})
	for {
		var ask onsale.FeedRequest
		if conn.ReadJSON(&ask) != nil {
			break
		}
		f.mu.Lock()
		if ask.Type == onsale.FrameResume {
			c.send(f.view)
		} else {
			c.buyer = ask.Token
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	delete(f.clients, c)
	close(c.out)
	f.mu.Unlock()
	writing.Wait()
	conn.Close()
}

func (c *fakeClient) send(frame any) {
	select {
	case c.out <- frame:
	default:
		panic(fmt.Sprintf("more than %d frames for one client", fakeBacklog))
	}
}

// tell sends a delta, unless this client is one that the fake wrongs.
func (c *fakeClient) tell(f *fake, d onsale.FeedDelta) {
	c.told++
	wronged := c.number%5 == 2 && c.told == 3
	switch {
	case wronged && f.breaks.skipsDelta:
	case c.number%5 == 2 && c.told > 3 && f.breaks.stallsFeed:
	case wronged && f.breaks.sendsNonsense:
		c.send(map[string]any{"type": onsale.FrameDelta, "seq": -1})
	case wronged && f.breaks.dropsFeed:
		c.conn.Close()
	case wronged && f.breaks.goesBack:
		earlier := f.view
		earlier.Seq -= 2
		c.send(earlier)
	case wronged && (f.breaks.showsTooMany || f.breaks.showsFewerThanNone):
		shown := f.view
		shown.Sections = slices.Clone(shown.Sections)
		wrong := int64(1)
		if f.breaks.showsFewerThanNone {
			wrong = -shown.Sections[0].Available - 1
			shown.Sections[0].Held -= wrong // so that the sum is right
		}
		shown.Sections[0].Available += wrong
		c.send(shown)
	case c.number%5 == 2 && f.breaks.missesChange:
		d.Sections = nil
		c.send(d)
	default:
		c.send(d)
	}
}
