package realtime

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"onsale"
)

// servers are the ways in which an HTTP server may hand over its sockets.
var servers = map[string]func(*Config, *fasthttp.Server){
	"plain":         func(*Config, *fasthttp.Server) {},
	"threaded":      func(_ *Config, s *fasthttp.Server) { s.Name = threadedServer },
	"lean":          func(_ *Config, s *fasthttp.Server) { s.ReduceMemoryUsage = true },
	"hidden socket": func(_ *Config, s *fasthttp.Server) { s.MaxConnsPerIP = 1000 }, // every write may wait
}

// Whatever the event does, whoever comes, goes, stalls or loses frames: all
// clients that follow the rules end with the server's view, and on the way see
// nothing that wasn't true.
func TestEveryClientEndsWithTheServersView(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(cfg *Config, fast *fasthttp.Server) {
				cfg.SocketBuffer = 1 // the kernel's least: whoever stalls is soon in its own way
				server(cfg, fast)
			})
			var events atomic.Int64
			rapid.Check(t, func(rt *rapid.T) {
				h := newHouse(t, onsale.EventID(fmt.Sprintf("show-%d", events.Add(1))), 20, 50)
				s.add(h)
				r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
				join := func() *browser { return s.openAs(t, h, protocols[r.IntN(len(protocols))], nil) }
				browsers := []*browser{join()}
				any := func() *browser { return browsers[r.IntN(len(browsers))] }
				for range rapid.IntRange(10, 60).Draw(rt, "steps") {
					switch step := rapid.SampledFrom(steps).Draw(rt, "step"); step {
					case "delta":
						h.turn(r, 1+r.IntN(4), true)
					case "burst":
						for range 40 {
							h.turn(r, 3, true)
						}
					case "gap":
						for range 1 + r.IntN(3) {
							h.turn(r, 3, false)
						}
						h.tell()
					case "repeated reset":
						h.tell()
					case "epoch":
						h.newEpoch()
					case "doubt":
						h.say(onsale.SaleRecovering)
					case "trust":
						h.say(onsale.SaleOpen)
					case "join":
						browsers = append(browsers, join())
					case "leave":
						if len(browsers) > 1 {
							browsers[0].leave()
							browsers = browsers[1:]
						}
					case "come back":
						i := r.IntN(len(browsers))
						browsers[i].leave()
						browsers[i] = s.comeBack(t, browsers[i])
					case "stop reading":
						any().pause(true)
					case "stall":
						if b := any(); name == "hidden socket" {
							b.pause(true) // its buffer can't be made small, so it never fills
						} else {
							stall(t, s, h, b)
						}
					case "read on":
						any().pause(false)
					case "lose a delta":
						b := any()
						b.mu.Lock()
						b.deaf = true
						b.mu.Unlock()
					case "resume":
						b := any()
						b.mu.Lock()
						request := b.fold.Resume()
						b.eager = true
						b.mu.Unlock()
						b.send(t, []onsale.FeedRequest{request, {Type: onsale.FrameResume}}[r.IntN(2)])
					}
				}
				for _, b := range browsers {
					b.pause(false)
					eventually(t, func() error {
						if b.finds() {
							h.turn(r, 1, true) // whoever lost the last delta finds out by the next
						}
						return b.sees()
					})
				}
				for _, b := range browsers {
					b.leave()
				}
			})
			if s.count("onsale_feed_slow_writes_total") == 0 {
				t.Error("nobody was ever slow: the stalls have tested nothing")
			}
		})
	}
}

var steps = []string{"delta", "delta", "delta", "burst", "gap", "repeated reset", "epoch", "doubt", "doubt", "trust", "join", "join", "leave", "come back",
	"stop reading", "stall", "read on", "read on", "lose a delta", "resume"}
