package realtime

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
)

// stall makes the browser stop reading, and floods it until its socket is full.
func stall(t *testing.T, s *stage, h *house, b *browser) {
	t.Helper()
	b.pause(true)
	c := s.connOf(t, b)
	full := 0 // how often in a row: what a busy kernel has not taken yet it may take in a moment
	eventually(t, func() error {
		h.newEpoch() // a snapshot for everybody
		c.mu.Lock()
		defer c.mu.Unlock()
		if full++; !c.draining && c.closing == nil {
			full = 0
		}
		if full < 5 {
			return errors.New("the stalled client's socket never fills")
		}
		return nil
	})
}

// connOf finds the server's side of the browser's connection.
func (s *stage) connOf(t testing.TB, b *browser) *conn {
	t.Helper()
	var found *conn
	eventually(t, func() error {
		s.gateway.mu.Lock()
		h := s.gateway.hubs[b.house.layout.Event.ID]
		s.gateway.mu.Unlock()
		h.roster.each(0, 1, func(c *conn) {
			if c.remote.String() == b.ws.LocalAddr().String() {
				found = c
			}
		})
		if found == nil {
			return errors.New("the gateway doesn't have the connection")
		}
		return nil
	})
	return found
}

func TestClientThatReadsAgainGetsTheNewestStateAndNotTheHistory(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.SocketBuffer = 1 }, h)
	quick, slow := s.open(t, h), s.open(t, h)
	eventually(t, slow.sees)
	stall(t, s, h, slow)

	r := rand.New(rand.NewPCG(1, 1))
	for range 10 * backlogFrames { // each of them published by itself
		h.turn(r, 5, true)
		eventually(t, quick.sees)
	}
	read := quick.got(onsale.FrameDelta)
	slow.pause(false)
	eventually(t, slow.sees)
	if got := slow.got(onsale.FrameDelta); read < 5*backlogFrames || got > 2*backlogFrames {
		t.Errorf("the quick client read %d deltas and the slow one %d, which should have got a snapshot instead", read, got)
	}
	if n := s.count(`onsale_feed_closes_total{code="4408"}`); n > 0 {
		t.Errorf("%d clients closed as too slow, and one only paused", n)
	}
}

func TestStalledClientsDelayNobody(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.SocketBuffer = 1 }, h)
	quick := s.open(t, h)
	for range 20 {
		stall(t, s, h, s.open(t, h))
	}
	eventually(t, quick.sees)
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		began := time.Now()
		h.turn(r, 5, true)
		eventually(t, quick.sees)
		// A write that waited for one stalled client would take WriteTimeout, 10 s.
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("a delta took %v with 20 clients stalled", took)
		}
	}
}

func TestClientThatNeverReadsIsClosedAndForgotten(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) {
		cfg.SocketBuffer, cfg.WriteTimeout, cfg.CloseGrace = 1, 20*time.Millisecond, 20*time.Millisecond
	}, h)
	stall(t, s, h, s.open(t, h))
	eventually(t, func() error {
		if n := s.gateway.gate.open(); n > 0 {
			return fmt.Errorf("%d feeds are still open", n)
		}
		return nil
	})
	if n := s.count(`onsale_feed_closes_total{code="4408"}`); n != 1 {
		t.Errorf("%d counted as too slow, want 1", n)
	}
}

func TestClientThatReadsAgainTooLateLearnsThatItWasTooSlow(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.SocketBuffer, cfg.WriteTimeout = 1, 20*time.Millisecond }, h)
	slow := s.open(t, h)
	eventually(t, slow.sees)
	stall(t, s, h, slow)
	eventually(t, func() error {
		if s.count(`onsale_feed_closes_total{code="4408"}`) == 0 {
			return errors.New("the stalled client isn't closed")
		}
		return nil
	})
	slow.pause(false)
	eventually(t, func() error { return slow.closedWith(onsale.CloseTooSlow) })
}

func TestBuyerWhoLeavesOrdersUnreadIsClosedAndNotForgotten(t *testing.T) {
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.SocketBuffer = 1 }, h)
	slow := s.open(t, h)
	s.signIn(t, slow, "buy_a")
	stall(t, s, h, slow)
	for range maxOwed + 1 {
		s.gateway.TellOrder(news("buy_a"))
	}
	slow.pause(false)
	eventually(t, func() error { return slow.closedWith(onsale.CloseTooSlow) })
}

// Silence is answered by a ping, and an answered ping is a sign of life.
func TestDeadPeersAreGoneAndLivingOnesStay(t *testing.T) {
	t.Parallel() // it takes its time
	h := newHouse(t, "show", 1, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.Heartbeat = 500 * time.Millisecond }, h)
	living := s.open(t, h)
	dead, err := s.dial("show") // nobody reads it, so no ping is answered
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	eventually(t, func() error {
		if n := s.gateway.gate.open(); n != 1 {
			return fmt.Errorf("%d feeds are open, want the living one", n)
		}
		return nil
	})
	<-time.After(2 * s.gateway.cfg.peerTimeout())
	h.newEpoch()
	eventually(t, living.sees)
}

func TestClientThatDoesNotAnswerItsCloseIsGoneAllTheSame(t *testing.T) {
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.CloseGrace = 20 * time.Millisecond }, newHouse(t, "show", 1, 10))
	mute, err := s.dial("show") // nobody reads it, so no close is answered
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if err := mute.WriteJSON(onsale.FeedRequest{Type: onsale.FrameAuth, Token: "forged"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if n := s.gateway.gate.open(); n > 0 {
			return fmt.Errorf("%d feeds are still open", n)
		}
		return nil
	})
}

// What bounded the one slow write must not end a later one.
func TestClientThatWasSlowOnceIsServedForGood(t *testing.T) {
	t.Parallel() // it takes its time
	h := newHouse(t, "show", 40, 100)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.SocketBuffer, cfg.WriteTimeout = 1, 2*time.Second }, h)
	b := s.open(t, h)
	eventually(t, b.sees)
	stall(t, s, h, b)
	b.pause(false)
	eventually(t, b.sees)
	<-time.After(s.gateway.cfg.WriteTimeout)
	h.newEpoch()
	eventually(t, b.sees)
}
