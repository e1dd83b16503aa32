package realtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"

	"onsale"
)

func TestWhoHasNotBeenToldToGoYetGetsEveryDelta(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.Farewells = 1 }, h)
	browsers := make([]*browser, 100) // who are told one by one, in 5 s
	for i := range browsers {
		browsers[i] = s.open(t, h)
	}
	for _, b := range browsers {
		eventually(t, b.sees)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stopping sync.WaitGroup
	stopping.Go(func() { _ = s.gateway.Stop(ctx) }) // it is cut short
	told := func() (n int) {
		for _, b := range browsers {
			if b.closedWith(onsale.CloseRestarting) == nil {
				n++
			}
		}
		return n
	}
	eventually(t, func() error {
		if told() == 0 {
			return errors.New("nobody was told to go")
		}
		return nil
	})
	h.turn(rand.New(rand.NewPCG(1, 2)), 5, true)
	eventually(t, func() error {
		for _, b := range browsers {
			if b.closedWith(0) == nil && b.sees() == nil {
				return nil
			}
		}
		return errors.New("nobody who is still there sees the change")
	})
	cancel()
	stopping.Wait()
	if n := s.gateway.gate.open(); n > 0 {
		t.Errorf("%d feeds are still open", n)
	}
}
