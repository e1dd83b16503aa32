package realtime

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"onsale"
)

// ipv6Network is how much of an IPv6 address tells networks apart: one customer
// has at least a /64, and all of its addresses.
const ipv6Network = 64

// Those who are refused come back after a random time in between, not all at once.
const (
	retryAtLeast = 1 * time.Second
	retrySpread  = 4 * time.Second
)

// gate counts the open feeds and bounds them: in all, and from one network.
// Sockets that were taken from the HTTP server escape its own limits.
type gate struct {
	max           int // in all
	maxPerNetwork int // 0: no bound

	mu       sync.Mutex
	total    int                // under mu
	entered  int                // under mu: how many ever did
	networks map[netip.Addr]int // under mu; used only with maxPerNetwork
}

// enter counts a feed in, or returns a refusal. Whoever entered must leave, once.
func (g *gate) enter(network netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.max {
		return refuseBusy(reasonFull, onsale.CodeOverloaded, "too many people are watching: try again soon", nil)
	}
	if g.maxPerNetwork > 0 {
		if g.networks[network] >= g.maxPerNetwork {
			return refuseBusy(reasonNetworkFull, onsale.CodeOverloaded, "too many feeds are open from your network: close one", nil)
		}
		if g.networks == nil {
			g.networks = map[netip.Addr]int{}
		}
		g.networks[network]++
	}
	g.total++
	g.entered++
	return nil
}

func (g *gate) leave(network netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.maxPerNetwork == 0 {
		return
	}
	if g.networks[network]--; g.networks[network] == 0 {
		delete(g.networks, network)
	}
}

// everEntered is how many feeds were ever opened.
func (g *gate) everEntered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entered
}

// open is how many feeds are open.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// networkOf is what the feeds of one network have in common.
func networkOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap() // the zero Addr, of what has none, is a network of its own
	if prefix, err := addr.Prefix(ipv6Network); err == nil && addr.Is6() {
		return prefix.Addr()
	}
	return addr
}

// reason is why an upgrade was refused, for the metrics.
type reason string

const (
	reasonHandshake   reason = "handshake"
	reasonProtocol    reason = "protocol"
	reasonOrigin      reason = "origin"
	reasonToken       reason = "token"
	reasonEvent       reason = "event"
	reasonSource      reason = "source"
	reasonFull        reason = "full"
	reasonNetworkFull reason = "network_full"
	reasonStopping    reason = "stopping"
)

// refusal is an *onsale.Error with the reason that it is counted under.
type refusal struct {
	error
	reason reason
}

func (r *refusal) Unwrap() error { return r.error }

func refuse(r reason, err error) error { return &refusal{error: err, reason: r} }

func refuseBusy(r reason, code onsale.Code, detail string, cause error) error {
	return refuse(r, onsale.Busy(code, detail, retryAtLeast+rand.N(retrySpread), cause))
}
