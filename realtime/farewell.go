package realtime

import (
	"context"
	"errors"
	"time"

	"onsale"
)

// How a gateway's clients are told to go.
const (
	// farewellTime is what telling all of them takes at the most.
	farewellTime = 8 * time.Second
	// farewellStep is the time between two handfuls of them.
	farewellStep = 50 * time.Millisecond
)

// Stop refuses new feeds, tells every client to come back later, a few at a time, and
// waits until they are gone: no longer than CloseGrace after the last was told, and no
// longer than ctx allows, after which their sockets are cut. Who has not been told yet
// gets every delta meanwhile.
//
// Nothing of what a client knows is lost with its process: sequences are Redis's, the
// same in every process, so it goes on at another one from where it was.
func (g *Gateway) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.running = false
	hubs := g.hubs
	g.hubs = map[onsale.EventID]*hub{}
	g.mu.Unlock()

	g.bidFarewell(ctx, connsOf(hubs))
	gone := make(chan struct{})
	go func() { g.conns.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
		for _, c := range connsOf(hubs) {
			c.cut()
		}
		<-gone // nothing that a connection does can wait once its socket is cut
	}

	errs := []error{g.beat.Stop(ctx)}
	if g.watch != nil {
		errs = append(errs, g.watch.Stop(ctx))
	}
	for _, h := range hubs {
		errs = append(errs, h.stop(ctx))
	}
	return errors.Join(errs...)
}

func connsOf(hubs map[onsale.EventID]*hub) (conns []*conn) {
	for _, h := range hubs {
		h.roster.each(0, 1, func(c *conn) { conns = append(conns, c) })
	}
	return conns
}

// bidFarewell tells the clients to go, Farewells a second or, if that would take too
// long, as many as it takes to be done in farewellTime. If ctx ends, all that are left
// are told at once.
func (g *Gateway) bidFarewell(ctx context.Context, conns []*conn) {
	steps := int(farewellTime / farewellStep)
	handful := max(int(float64(g.cfg.Farewells)*farewellStep.Seconds()), (len(conns)+steps-1)/steps, 1)
	tick := time.NewTicker(farewellStep)
	defer tick.Stop()
	for len(conns) > 0 {
		n := min(handful, len(conns))
		for _, c := range conns[:n] {
			c.shut(restarting)
		}
		if conns = conns[n:]; len(conns) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			handful = len(conns)
		}
	}
}
