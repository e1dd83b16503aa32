package realtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"

	"onsale"
)

func TestStopTellsEveryoneToComeBackAndLeavesNothing(t *testing.T) {
	show, other := newHouse(t, "show", 1, 10), newHouse(t, "other", 1, 10)
	s := serve(t, nil, show, other)
	browsers := []*browser{s.open(t, show), s.open(t, show), s.open(t, other)}
	for _, b := range browsers {
		eventually(t, b.sees)
	}
	for range 2 {
		if err := s.gateway.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range browsers {
		eventually(t, func() error { return b.closedWith(onsale.CloseRestarting) })
	}
	if n := show.watchers() + other.watchers(); n > 0 {
		t.Errorf("the source still has %d listeners", n)
	}
	if n := s.gateway.gate.open(); n > 0 {
		t.Errorf("%d feeds are still counted", n)
	}
	if _, err := s.dial("show"); onsale.CodeOf(err) != onsale.CodeUnavailable {
		t.Errorf("a feed of a stopped gateway: %v", err)
	}
}

func TestStopWaitsNoLongerThanItMay(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.SocketBuffer, cfg.CloseGrace = 1, time.Hour }, h)
	deaf, stalled := s.open(t, h), s.open(t, h)
	deaf.pause(true) // it will not answer its close
	stall(t, s, h, stalled)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_ = s.gateway.Stop(ctx) // late or just in time: it must return
	if took := time.Since(began); took > patience {
		t.Errorf("Stop took %v", took)
	}
	if n := s.gateway.gate.open(); n > 0 {
		t.Errorf("%d feeds are still open", n)
	}
}

func TestDeltasWithinATickTravelAsOne(t *testing.T) {
	h := newHouse(t, "show", 10, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.Tick = 200 * time.Millisecond }, h)
	b := s.open(t, h)
	eventually(t, b.sees)
	r := rand.New(rand.NewPCG(1, 1))
	began := time.Now()
	for range 100 {
		h.turn(r, 2, true)
		<-time.After(2 * time.Millisecond) // time enough for each to be sent by itself
	}
	eventually(t, b.sees)
	if n, most := b.got(onsale.FrameDelta), int(time.Since(began)/s.gateway.cfg.Tick)+2; n > most {
		t.Errorf("100 changes came as %d deltas, want %d at the most", n, most)
	}
}

func TestFirstChangeAfterAPauseDoesNotWaitForATick(t *testing.T) {
	h := newHouse(t, "show", 10, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.Tick = time.Hour }, h)
	h.mu.Lock()
	h.late = true
	h.mu.Unlock()
	b := s.open(t, h)
	eventually(t, func() error {
		if b.got(onsale.FrameHello) == 0 || h.watchers() == 0 {
			return errors.New("no hello")
		}
		return nil
	})
	h.tell()
	eventually(t, b.sees)
}

func TestEventNobodyWatchesIsFollowedNoLongerThanNeeded(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) {
		cfg.Heartbeat, cfg.Linger = 200*time.Millisecond, 20*time.Millisecond
	}, h)
	for round := range 3 {
		b := s.open(t, h)
		eventually(t, b.sees)
		b.leave()
		eventually(t, func() error {
			if n := h.watchers(); n > 0 {
				return fmt.Errorf("round %d: %d listeners are left", round, n)
			}
			return nil
		})
	}
}

func TestManyWatchersOfAnEventAreOneListener(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	for range 10 {
		eventually(t, s.open(t, h).sees)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watched != 1 {
		t.Errorf("watched %d times", h.watched)
	}
}

func TestEventThatCannotBeFollowedIsTriedAgainByTheNextRequest(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	h.failure = errors.New("the mirror is stopping")
	s := serve(t, nil, h)
	if _, err := s.dial("show"); onsale.CodeOf(err) != onsale.CodeUnavailable {
		t.Fatalf("a feed without a source: %v", err)
	}
	if n := s.gateway.gate.open(); n > 0 {
		t.Errorf("%d feeds counted, and none was opened", n)
	}
	h.mu.Lock()
	h.failure = nil
	h.mu.Unlock()
	eventually(t, s.open(t, h).sees)
}

// A client may send its first frame together with its request: what the HTTP
// server has read of it already must not be lost.
func TestFramesSentWithTheRequestAreHeard(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "show", 1, 10)
			s := serve(t, server, h)
			c := s.knock(t, masked(`{"type":"auth","token":"token of buy_a"}`))
			defer c.Close()
			eventually(t, func() error {
				if len(s.gateway.audience.of("buy_a")) == 0 {
					return errors.New("the first frame was lost")
				}
				return nil
			})
			if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if want := "HTTP/1.1 101 Switching Protocols\r\n"; err != nil || line != want {
				t.Errorf("answered %q, %v", line, err)
			}
		})
	}
}

// knock opens a feed of the event "show" over a bare socket, with more bytes sent
// in the same write as the request. The answer is unread.
func (s *stage) knock(t testing.TB, more []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	request := "GET /live/show HTTP/1.1\r\nHost: " + s.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: onsale.v1\r\n\r\n"
	if _, err := c.Write(append([]byte(request), more...)); err != nil {
		t.Fatal(err)
	}
	return c
}

// masked is a client's text frame, under the mask of zeros.
func masked(text string) []byte {
	frame := wire(websocket.TextMessage, []byte(text))
	frame[1] |= 0x80
	return slices.Insert(frame, len(frame)-len(text), 0, 0, 0, 0)
}

func TestConfigMustSayWhatToServe(t *testing.T) {
	whole := Config{Source: &street{}, Lookup: (&street{}).lookup, Verify: verify}
	if _, err := New(whole); err != nil {
		t.Errorf("a whole config: %v", err)
	}
	for name, spoil := range map[string]func(*Config){
		"no source": func(c *Config) { c.Source = nil }, "no lookup": func(c *Config) { c.Lookup = nil },
		"no verify": func(c *Config) { c.Verify = nil }, "negative bound": func(c *Config) { c.MaxConns = -1 },
		"negative time": func(c *Config) { c.Tick = -1 },
	} {
		broken := whole
		spoil(&broken)
		if _, err := New(broken); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
