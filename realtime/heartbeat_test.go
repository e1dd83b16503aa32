package realtime

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Each step of a heartbeat pings its own part, and all of them together everybody once.
func TestHeartbeatsAreSpreadOverTheInterval(t *testing.T) {
	var r roster
	for range 40 * heartbeatSteps {
		r.add(&conn{})
	}
	pinged := map[*conn]int{}
	for step := range heartbeatSteps {
		n := 0
		r.each(step, heartbeatSteps, func(c *conn) { pinged[c]++; n++ })
		if n != 40 {
			t.Errorf("step %d pings %d of %d", step, n, 40*heartbeatSteps)
		}
	}
	for _, n := range pinged {
		if n != 1 {
			t.Fatalf("pinged %d times in one heartbeat", n)
		}
	}
	if len(pinged) != 40*heartbeatSteps {
		t.Errorf("%d were pinged", len(pinged))
	}
}

func TestDeadPeersAreGoneWithin45SecondsByDefault(t *testing.T) {
	cfg := Config{}.WithDefaults()
	if got := cfg.peerTimeout() + lateEvery; got > 45*time.Second || got < cfg.Heartbeat*4/3 { // who is asked has time to answer
		t.Errorf("a silent peer is gone after %v, and is pinged every %v", got, cfg.Heartbeat)
	}
}

// inert is a line that takes nothing while it is full, and is told of nothing.
type inert struct{ full, deaf bool }

func (l *inert) begin([]byte) error { return nil }
func (l *inert) offer(_ *writer, p []byte) ([]byte, error) {
	if l.full {
		return p, nil
	}
	return nil, nil
}
func (l *inert) drain([]byte) {}
func (l *inert) taken() bool  { return !l.full && !l.deaf }
func (l *inert) cut()         {}
func (l *inert) close()       {}

// Who has been told something, and whose machine has taken it, is there: nobody asks. One whose
// machine hasn't, or who was told nothing, is asked.
func TestWhoTakesWhatItIsToldIsNotPinged(t *testing.T) {
	for name, c := range map[string]struct {
		told, deaf, asked bool
	}{"told": {true, false, false}, "told in vain": {true, true, true}, "told nothing": {false, false, true}} {
		g, err := New(Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify})
		if err != nil {
			t.Fatal(err)
		}
		conn := newConn(&hub{gateway: g}, netip.AddrPort{}, 0)
		conn.line, conn.owed = &inert{deaf: c.deaf}, nil
		g.born = g.born.Add(-g.cfg.Heartbeat)
		w := g.writer()
		if c.told {
			conn.owed = []*frame{hello(g.cfg.Heartbeat, 1)}
			conn.flush(w)
		}
		for pass, asked := range []bool{c.asked, true} { // at the second nothing was told since
			w.frames[kindControl] = 0
			conn.ping(w)
			if got := w.frames[kindControl] == 1; got != asked {
				t.Errorf("%s: pass %d pings: %v", name, pass, got)
			}
		}
		if looked := len(g.lateness.due) == 1; looked != c.asked {
			t.Errorf("%s: is looked at: %v", name, looked)
		}
	}
}

// A client that is draining when the heartbeat passes is not pinged, and has nothing to say of its own
// accord: that it reads is what it says.
func TestWhoReadsAllThatItIsSentLives(t *testing.T) {
	g, err := New(Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify})
	if err != nil {
		t.Fatal(err)
	}
	line := &inert{full: true}
	c := newConn(&hub{gateway: g}, netip.AddrPort{}, 0)
	c.line = line
	g.born = g.born.Add(-time.Minute) // it was heard a minute ago
	w := g.writer()
	c.owed = []*frame{pingFrame}
	c.flush(w)
	c.ping(w)
	line.full = false
	c.mu.Lock()
	c.drained(nil)
	c.mu.Unlock()
	c.judge(g.clock())
	if c.closing != nil {
		t.Error("it has just read all that it was sent, and is cut")
	}
}

func TestWhoAnswersIsNotLookedAt(t *testing.T) {
	g, err := New(Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify})
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(&hub{gateway: g}, netip.AddrPort{}, 0)
	c.line = &inert{}
	g.born = g.born.Add(-g.cfg.Heartbeat)
	c.ping(g.writer())
	if len(g.lateness.due) != 1 || len(g.lateness.some) != 1 {
		t.Fatal("who is pinged after a heartbeat in silence is not looked at")
	}
	if err := c.receive(websocket.PongMessage, nil); err != nil || len(g.lateness.due) != 0 {
		t.Errorf("who answers is looked at still; %v", err)
	}
}
