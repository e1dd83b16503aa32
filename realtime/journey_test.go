package realtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gorilla/websocket"
	"pgregory.net/rapid"

	"onsale"
	"onsale/internal/feedclient"
)

// Two processes show one event and several clients go back and forth between them, all by
// hand: without sockets and time, so that a million changes take seconds, and everything that can
// happen between two frames does.

// changesEach is how many changes the stock goes through in one journey, at least.
const changesEach = 10_000

func TestClientsEndWithTheServersViewThroughAMillionChanges(t *testing.T) {
	journeys, changes := 0, uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		j := newJourney(t, rt)
		for range rapid.IntRange(50, 200).Draw(rt, "steps") {
			j.step(rapid.SampledFrom(journeySteps).Draw(rt, "step"))
		}
		for j.changes < changesEach {
			j.step("changes")
			j.step("deliver")
		}
		j.arrive()
		journeys++
		changes += j.changes
	})
	t.Logf("%d journeys through %d changes", journeys, changes)
	if least := uint64(journeys) * changesEach; changes < least || journeys < 100 {
		t.Errorf("%d journeys through %d changes, want 100 and a million", journeys, changes)
	}
}

var journeySteps = []string{"changes", "changes", "changes", "publish", "publish", "deliver", "deliver", "deliver", "deliver", "lose", "resume", "resume",
	"move", "move", "restart", "failover", "go back", "miss", "hear", "hear", "doubt", "trust"}

type journey struct {
	t       *testing.T
	rt      *rapid.T
	r       *rand.Rand
	house   *house
	changes uint64
	past    *onsale.Stock // of earlier, as a replica has it that is behind
	feeds   [2]*process
	clients []*traveller
}

// process shows the event as one process of many does.
type process struct {
	Listener // of the hub
	hub      *hub
	misses   bool // it hears no deltas until it is reset
	stop     func()
}

// Delta implements Listener.
func (p *process) Delta(d *onsale.Delta) {
	if !p.misses {
		p.Listener.Delta(d)
	}
}

// Reset implements Listener.
func (p *process) Reset(s *onsale.Stock) {
	p.misses = false
	p.Listener.Reset(s)
}

// traveller is a client with a connection.
type traveller struct {
	client  feedclient.Client
	feed    *process
	conn    *conn
	form    encoding
	wayless bool // what would lead it on was lost: it waits in vain, and then connects anew
	unaware bool // it has lost a frame, and the next one will tell it
}

func newJourney(t *testing.T, rt *rapid.T) *journey {
	h := newHouse(t, "show", 30, 40)
	h.prints = map[place]uint64{}
	h.remember()
	j := &journey{t: t, rt: rt, r: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)), house: h, past: h.stock.Clone()}
	for i := range j.feeds {
		j.feeds[i] = j.begin()
	}
	for i := range 4 {
		c := &traveller{form: encoding(i % int(encodings))}
		j.clients = append(j.clients, c)
		j.connect(c, j.feeds[i/2])
	}
	return j
}

func (j *journey) begin() *process {
	g, err := New(Config{Source: j.house, Lookup: func(context.Context, onsale.EventID) (*onsale.Layout, error) { return j.house.layout, nil }, Verify: verify})
	if err != nil {
		j.t.Fatal(err)
	}
	p := &process{hub: newHub(g, j.house.layout)}
	p.Listener = p.hub
	if p.stop, err = j.house.Watch(j.t.Context(), j.house.layout, p); err != nil {
		j.t.Fatal(err)
	}
	if j.r.IntN(2) == 0 {
		p.hub.publish() // else the first clients come before the first frame
	}
	return p
}

// connect opens a connection where the client stands.
func (j *journey) connect(c *traveller, p *process) {
	var from place
	if query := c.client.Opened(); query != "" {
		if _, err := fmt.Sscanf(query, "epoch=%d&seq=%d", &from.epoch, &from.seq); err != nil {
			j.rt.Fatal(err)
		}
	}
	c.feed, c.wayless, c.unaware = p, false, false
	c.conn = &conn{hub: p.hub, form: c.form}
	c.conn.leadOn(from)
}

func (j *journey) step(what string) {
	c, i := j.clients[j.r.IntN(len(j.clients))], j.r.IntN(len(j.feeds))
	p := j.feeds[i]
	switch what {
	case "changes":
		n := 1 + j.r.IntN([]int{2, 20, 60, 60, 1000}[j.r.IntN(5)])
		for range n {
			j.house.turn(j.r, 1+j.r.IntN(3), true)
			if j.r.IntN(20) == 0 {
				j.feeds[j.r.IntN(len(j.feeds))].hub.publish()
			}
		}
		j.changes += uint64(n)
	case "publish":
		p.hub.publish()
	case "deliver":
		for range 1 + j.r.IntN(8) {
			j.deliver(c)
		}
	case "lose":
		if f := c.conn.next(); f != nil {
			c.wayless = c.wayless || !c.client.Current()
			c.unaware = true
		}
	case "resume": // without need
		if view := c.client.View(); view != nil {
			c.conn.leadOn(place{view.Epoch, view.Seq})
		}
	case "move":
		j.connect(c, p)
	case "restart":
		p.stop()
		j.feeds[i] = j.begin()
		for _, c := range j.clients {
			if c.feed == p {
				j.take(c, byeFrame(restarting))
				if within, _ := c.client.Closed(onsale.CloseRestarting); within != comeBackWithin {
					j.rt.Fatalf("the client comes back within %v, and was told %v", within, comeBackWithin)
				}
				j.connect(c, j.feeds[j.r.IntN(len(j.feeds))])
			}
		}
	case "failover": // all processes learn of it, each when it does
		for _, p := range j.feeds {
			p.misses = true
		}
		j.past = j.house.stock.Clone()
		j.house.refill(j.house.stock.Epoch + 1)
		j.house.turn(j.r, 3, true)
		if j.r.IntN(2) == 0 {
			p.Reset(j.house.stock)
		}
	case "go back": // to what a replica has, of this epoch or of the one before
		p.Reset(j.past)
		p.misses = true
		p.hub.publish()
		j.past = j.house.stock.Clone()
	case "miss":
		p.misses = true
	case "hear":
		p.Reset(j.house.stock)
	case "doubt", "trust":
		j.house.say(map[string]onsale.Sale{"doubt": onsale.SaleRecovering, "trust": onsale.SaleOpen}[what])
	}
}

// deliver gives the client its next frame. It returns false if there is none.
func (j *journey) deliver(c *traveller) bool {
	f := c.conn.next()
	if f != nil {
		j.take(c, f)
	}
	return f != nil
}

// take has the client take a frame, and sends what it asks for. Whatever it shows was once true.
func (j *journey) take(c *traveller, f *frame) {
	parsed, err := parseAs(f, j.house.layout)
	if err != nil {
		j.rt.Fatal(err)
	}
	verdict, request, err := c.client.Take(parsed)
	if err != nil {
		j.rt.Fatal(err)
	}
	if request != nil || parsed.Snapshot != nil {
		c.unaware = false
	}
	if request != nil {
		c.conn.leadOn(place{request.Epoch, request.Seq})
	}
	if verdict == feedclient.Applied {
		if err := j.house.wasTrue(c.client.View()); err != nil {
			j.rt.Fatalf("after %+v: %v", parsed, err)
		}
	}
}

func parseAs(f *frame, layout *onsale.Layout) (*feedclient.Frame, error) {
	if f.wire[0]&0xf == websocket.TextMessage {
		if f.kind == kindBye {
			return feedclient.Parse(f.wire[2 : 2+f.wire[1]])
		}
		return feedclient.Parse(payloadOf(f))
	}
	var sections []string
	for _, s := range layout.Sections() {
		sections = append(sections, s.ID)
	}
	return feedclient.ParseBinary(payloadOf(f), sections)
}

// arrive ends the journey: everybody is told all, and must then see what is true.
func (j *journey) arrive() {
	for _, p := range j.feeds {
		p.Reset(j.house.stock)
		p.hub.publish()
	}
	for _, c := range j.clients {
		for j.deliver(c) {
		}
		if c.wayless && !c.client.Current() {
			j.connect(c, c.feed)
		}
		if !c.unaware {
			j.sees(c)
		}
	}
	j.house.turn(j.r, 3, true) // whoever lost the last frame finds out by the next
	for _, p := range j.feeds {
		p.hub.publish()
		p.stop()
	}
	for _, c := range j.clients {
		j.sees(c)
	}
}

// sees gives the client all that it is owed, after which it shows what is true.
func (j *journey) sees(c *traveller) {
	for j.deliver(c) {
	}
	if err := feedclient.Differ(c.client.View(), j.house.view()); err != nil {
		j.rt.Fatal(err)
	}
}
