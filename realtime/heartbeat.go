package realtime

import (
	"context"
	"runtime/debug"
	"time"
)

// heartbeatSteps is into how many steps a heartbeat is divided. At each step the
// connections in every heartbeatSteps-th place of the rosters are pinged. That
// spreads the pings evenly, which is what jitter is for, also right after a
// herd has connected in one second, and it needs neither a timer nor a byte per
// connection.
const heartbeatSteps = 20

// askEvery is at how many heartbeats everybody is asked once, also who has taken what they were told.
const askEvery = 4

// keepBeat pings the clients, ends the hubs that nobody has watched for a while, and gives
// back the memory that a herd took.
func (g *Gateway) keepBeat(ctx context.Context) {
	ticker := time.NewTicker(max(g.cfg.Heartbeat/heartbeatSteps, time.Millisecond))
	defer ticker.Stop()
	var trim trimmer
	for pass := 0; ; pass++ {
		step, asks := pass%heartbeatSteps, pass/heartbeatSteps%askEvery == 0
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		watched, idle := g.sortHubs()
		for _, h := range idle {
			if err := h.stop(context.WithoutCancel(ctx)); err != nil {
				g.cfg.Log.Error("a feed's hub did not stop", "event", h.layout.Event.ID, "error", err)
			}
		}
		w := g.writer()
		for _, h := range watched {
			h.roster.each(step, heartbeatSteps, func(c *conn) { c.ping(w, asks) })
		}
		g.done(w)
		if trim.due(g.gate.everEntered()) {
			debug.FreeOSMemory()
		}
	}
}

// sortHubs returns the hubs to be pinged, and forgets and returns those to be stopped.
func (g *Gateway) sortHubs() (watched, idle []*hub) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, h := range g.hubs {
		switch {
		case h.watchers > 0:
			watched = append(watched, h)
		case time.Since(h.idleSince) >= g.cfg.Linger:
			delete(g.hubs, id)
			idle = append(idle, h)
		}
	}
	return watched, idle
}
