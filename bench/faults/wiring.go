package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"onsale/internal/cable"
	"onsale/internal/lifecycle"
)

// The ends of a cable that are no target.
const (
	buyers  Target = "buyers"
	anybody Target = "anybody" // Kafka tells all its clients the same address
)

// wiring is every cable of a house, by who calls and who is called. What befalls a
// target's connections befalls both those it makes and those that are made to it.
type wiring struct {
	cables map[ends]*cable.Cable // never changed

	mu       sync.Mutex
	weathers map[*imposed]struct{} // under mu: what is wrong now; one for each fault under way
}

// ends are the two ends of a cable.
type ends struct{ from, to Target }

// imposed is what one fault does to some cables.
type imposed struct {
	target  Target
	weather cable.Weather
}

func newWiring() *wiring {
	w := &wiring{cables: map[ends]*cable.Cable{}, weathers: map[*imposed]struct{}{}}
	for _, e := range []ends{{buyers, Front}, {buyers, Feed}, {Payment, Front}, {anybody, Kafka}} {
		w.cables[e] = cable.New()
	}
	for _, role := range []Target{Front, Feed, Settle} {
		for _, store := range []Target{Redis, Postgres, Payment} {
			w.cables[ends{role, store}] = cable.New()
		}
	}
	return w
}

func (w *wiring) parts() []lifecycle.Part {
	var parts []lifecycle.Part
	for _, c := range w.cables {
		parts = append(parts, c)
	}
	return parts
}

// addr is where from reaches to.
func (w *wiring) addr(from, to Target) string { return w.cables[ends{from, to}].Addr() }

// lead has every cable to a target lead to host:port.
func (w *wiring) lead(to Target, at string) {
	for e, c := range w.cables {
		if e.to == to {
			c.Lead(at)
		}
	}
}

// impose has a target's cables suffer the weather until lift is called. Several faults
// at once are all felt.
func (w *wiring) impose(target Target, weather cable.Weather) (lift func()) {
	i := &imposed{target, weather}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.weathers[i] = struct{}{}
	w.apply(target)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.weathers, i)
		w.apply(target)
	}
}

// apply sets the weather of a target's cables. The caller has mu.
func (w *wiring) apply(target Target) {
	for e, c := range w.cables {
		if e.from != target && e.to != target {
			continue
		}
		var all cable.Weather
		for i := range w.weathers {
			if i.target == e.from || i.target == e.to {
				all = worse(all, i.weather)
			}
		}
		c.Set(all)
	}
}

// worse is both weathers at once.
func worse(a, b cable.Weather) cable.Weather {
	return cable.Weather{Out: a.Out || b.Out, Blocked: a.Blocked || b.Blocked, Delay: a.Delay + b.Delay}
}

func hostOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("a store's URL can't be read") // and may have a password in it
	}
	return u.Host, nil
}

// What is killed must find its port free again, so it has one that the system gives to
// nobody by itself, as it does to everyone who calls.
const (
	firstPort = 20_000
	lastPort  = 31_999
	portTries = 50
)

// freePorts returns a port that nobody listens on, nor on the ones after it, so many
// together.
func freePorts(together int) (int, error) {
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort-together)
		free := true
		for n := range together {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+n)))
			if err != nil {
				free = false
				break
			}
			if err := l.Close(); err != nil {
				return 0, fmt.Errorf("find a free port: %w", err)
			}
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port is free from %d to %d", firstPort, lastPort)
}

func eventStart() time.Time { return time.Now().UTC().AddDate(0, 1, 0).Truncate(time.Hour) }
