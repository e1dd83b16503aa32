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
type inert struct{ full, deaf, heaped, gone bool }

func (l *inert) begin([]byte) error { return nil }
func (l *inert) offer(_ *writer, p []byte) ([]byte, error) {
	if l.full {
		return p, nil
	}
	return nil, nil
}
func (l *inert) drain([]byte) {}
func (l *inert) taken() bool  { return !l.full && !l.deaf }
func (l *inert) unread() bool { return l.heaped }
func (l *inert) cut()         { l.gone = true }
func (l *inert) close()       {}

// Who was told something a moment ago, and whose machine has taken it, is there: nobody asks, but now and then.
// One whose machine hasn't, or who was told nothing, or long ago, is asked.
func TestWhoTakesWhatItIsToldIsNotPinged(t *testing.T) {
	for name, c := range map[string]struct {
		told               time.Duration // before the heartbeat passes
		deaf, asks, pinged bool
	}{
		"just now":     {time.Second, false, false, false},
		"now and then": {time.Second, false, true, true},
		"in vain":      {time.Second, true, false, true},
		"long ago":     {20 * time.Second, false, false, true},
		"nothing":      {-1, false, false, true},
	} {
		g, err := New(Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify})
		if err != nil {
			t.Fatal(err)
		}
		conn := newConn(&hub{gateway: g}, netip.AddrPort{}, 0)
		conn.line, conn.owed = &inert{deaf: c.deaf}, nil
		w := g.writer()
		g.born = g.born.Add(-g.cfg.Heartbeat)
		if c.told >= 0 {
			g.born = g.born.Add(c.told)
			conn.owed = []*frame{hello(g.cfg.Heartbeat, 1)}
			conn.flush(w)
			g.born = g.born.Add(-c.told)
		}
		w.frames[kindControl] = 0
		conn.ping(w, c.asks)
		if got := w.frames[kindControl] == 1; got != c.pinged {
			t.Errorf("%s: is pinged: %v", name, got)
		}
		if looked := len(g.lateness.due) == 1; looked != c.pinged {
			t.Errorf("%s: is looked at: %v", name, looked)
		}
		if !c.pinged && conn.deadline() > g.clock()-c.told+g.cfg.peerTimeout()+time.Second {
			t.Errorf("%s: it has until %v, though it was told %v ago", name, conn.deadline()-g.clock(), c.told)
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
	c.ping(w, true)
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
	c.ping(g.writer(), true)
	if len(g.lateness.due) != 1 || len(g.lateness.some) != 1 {
		t.Fatal("who is pinged after a heartbeat in silence is not looked at")
	}
	if err := c.receive(websocket.PongMessage, nil); err != nil || len(g.lateness.due) != 0 {
		t.Errorf("who answers is looked at still; %v", err)
	}
}

// lookAt has the gateway look at a connection whose client has said nothing, so long after it should have been asked.
func lookAt(t *testing.T, line *inert, late time.Duration) *Gateway {
	t.Helper()
	g, err := New(Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify})
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(&hub{gateway: g}, netip.AddrPort{}, 0)
	c.line, c.owed = line, nil
	g.born = g.born.Add(-g.cfg.Heartbeat - late)
	c.ping(g.writer(), true)
	return g
}

// lookLater has time pass, and those looked at who are due.
func lookLater(g *Gateway, passed time.Duration) {
	g.born = g.born.Add(-passed)
	due, _ := g.lateness.take(g.clock())
	for _, c := range due {
		c.judge(g.clock())
	}
}

func TestAHeartbeatThatPassesLateLeavesTimeToAnswer(t *testing.T) {
	line := &inert{}
	g := lookAt(t, line, time.Minute)
	lookLater(g, 9*time.Second)
	if line.gone {
		t.Fatal("it was asked 9 s ago, and is cut for what it didn't say before")
	}
	lookLater(g, 2*time.Second)
	if !line.gone {
		t.Error("it doesn't answer, and is not cut")
	}
}

func TestWhoseAnswerHasNotBeenReadLives(t *testing.T) {
	line := &inert{heaped: true}
	g := lookAt(t, line, 0)
	lookLater(g, time.Minute)
	if line.gone {
		t.Fatal("its answer has come, and it is cut")
	}
	line.heaped = false
	lookLater(g, time.Second)
	if !line.gone {
		t.Error("it has said nothing, and is not looked at again")
	}
}

// Who is owed news is not asked, since they will be told them, and if their machine takes those they are there. If nobody comes to tell
// them, or it isn't known whether they were taken (or not yet), they are asked in time to answer before they are late.
func TestWhoIsOwedNewsIsAskedOnlyIfTheyDoNotTakeThem(t *testing.T) {
	for name, c := range map[string]struct{ told, deaf, asked bool }{
		"told":           {told: true},
		"told in vain":   {told: true, deaf: true, asked: true},
		"told by no one": {asked: true},
	} {
		g, err := New(Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify})
		if err != nil {
			t.Fatal(err)
		}
		h, line := &hub{gateway: g}, &inert{deaf: c.deaf}
		var b *backlog
		b = b.restart(1)
		h.backlog.Store(b.with(&message{kind: kindSale, body: map[string]string{}, spent: g.meters.encodeSeconds}, 1))
		client := newConn(h, netip.AddrPort{}, 0)
		client.line, client.owed, client.position = line, nil, b.end()
		g.born = g.born.Add(-g.cfg.Heartbeat)
		w := g.writer()
		client.ping(w, false)
		if client.pinged {
			t.Errorf("%s: asked, though there are news", name)
		}
		if c.told {
			client.flush(w)
		}
		lookLater(g, 6*time.Second) // 36 s after it was heard
		if client.pinged != c.asked || line.gone {
			t.Errorf("%s: asked: %v; cut: %v", name, client.pinged, line.gone)
		}
		lookLater(g, 8*time.Second)
		if line.gone {
			t.Errorf("%s: cut before it was late", name)
		}
		lookLater(g, 3*time.Second)
		if line.gone != c.asked {
			t.Errorf("%s: 47 s after it was heard; cut: %v", name, line.gone)
		}
	}
}
