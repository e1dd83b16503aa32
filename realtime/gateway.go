// Package realtime is the live feed of an event: what everybody sees of the
// seats as they go, and what a buyer alone is told of their holds and orders.
//
//	Source (a mirror of Redis) ──▶ hub: one an event, conflates on a tick, encodes each frame once
//	                                 └──▶ conn: one a browser, a position in the hub's frames
//	Kafka (orders) ──▶ Teller ──▶ audience: the connections of a buyer ──▶ conn
//	Redis (holds) ◀─── vigil ──────┘
//
// The protocol is the one at onsale.FeedProtocol. Its promise: a client that
// follows the rules ends with exactly the server's view, whatever was lost,
// conflated or restarted on the way, and a client that doesn't read costs nobody
// anything but itself.
package realtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/lifecycle"
	"onsale/internal/reactor"
)

const (
	defaultMaxConns     = 100_000
	defaultTick         = 50 * time.Millisecond
	defaultWriteTimeout = 10 * time.Second
	defaultCloseGrace   = 5 * time.Second
	defaultLinger       = 30 * time.Second
	defaultSocketBuffer = 64 << 10
	defaultFarewells    = 5_000

	// lookupTimeout bounds how long an upgrade may wait to learn what the event is.
	lookupTimeout = 2 * time.Second
)

// Config says what a gateway serves and within which bounds. Source, Lookup and
// Verify are required.
type Config struct {
	Source Source
	// Lookup returns an event's layout; its errors are answered before the
	// upgrade, so an unknown event is an *onsale.Error of code unknown_event.
	Lookup func(ctx context.Context, event onsale.EventID) (*onsale.Layout, error)
	// Verify returns whose token it is. It does no I/O.
	Verify func(token string) (onsale.BuyerID, error)
	// Holds is where a buyer's hold is looked at, to tell of its end; nil: nobody is told.
	Holds HoldReader

	// Origins may open feeds besides the server's own host: "https://shop.example".
	Origins []string
	// MaxConns bounds the open feeds; default 100,000. Keep it below the limit on open files.
	MaxConns int
	// MaxConnsPerIP bounds the open feeds of one IPv4 address or one IPv6 /64
	// network. Default 0: no bound, as is right behind a proxy and for a bench.
	MaxConnsPerIP int

	// Tick is the shortest time between two deltas of an event; default 50 ms.
	Tick time.Duration
	// Heartbeat is how often a client is pinged, unless it takes what it is told; default 30 s. One that
	// has said and taken nothing for 1½ heartbeats is gone: 45 s; on a machine that is too busy to ask
	// in time, a third of a heartbeat after it was asked.
	Heartbeat time.Duration
	// WriteTimeout is how long a client may leave one frame unread before it is
	// closed as too slow; default 10 s.
	WriteTimeout time.Duration
	// CloseGrace is how long a client may take to answer a close before its socket
	// is closed all the same; default 5 s.
	CloseGrace time.Duration
	// SocketBuffer is how many bytes the kernel may keep for a client that doesn't
	// read, where its own tuning would go up to megabytes; default 64 KiB.
	SocketBuffer int
	// Processors is how many processors are this process's part of the machine, such as 0.25;
	// default: all that Go uses.
	Processors float64
	// Effort is the part of them that writing feeds may take, up to 1, and half of that one event's; default: a third.
	Effort float64
	// UpgradeShare is how many of them a herd's upgrades may take; the rest is for those who
	// buy. Default: half.
	UpgradeShare float64
	// Farewells is how many clients a second are told to go when the gateway stops, so
	// that they don't all arrive elsewhere at once; default 5,000. It takes farewellTime
	// at the most, however many they are.
	Farewells int
	// Linger is how long an event that nobody watches any more is still followed; default 30 s.
	Linger time.Duration

	Metrics *metrics.Set // default: a set of its own
	Log     *slog.Logger // default: slog.Default()
}

// WithDefaults returns the config with every unset field at its default.
func (c Config) WithDefaults() Config {
	setDefault(&c.MaxConns, defaultMaxConns)
	setDefault(&c.Tick, defaultTick)
	setDefault(&c.Heartbeat, onsale.DefaultHeartbeat)
	setDefault(&c.WriteTimeout, defaultWriteTimeout)
	setDefault(&c.CloseGrace, defaultCloseGrace)
	setDefault(&c.SocketBuffer, defaultSocketBuffer)
	setDefault(&c.Processors, float64(runtime.GOMAXPROCS(0)))
	setDefault(&c.Effort, defaultEffort)
	setDefault(&c.UpgradeShare, c.Processors/2)
	setDefault(&c.Farewells, defaultFarewells)
	setDefault(&c.Linger, defaultLinger)
	setDefault(&c.Log, slog.Default())
	if c.Metrics == nil {
		c.Metrics = metrics.NewSet()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func (c *Config) validate() error {
	switch {
	case c.Source == nil || c.Lookup == nil || c.Verify == nil:
		return errors.New("realtime: Source, Lookup and Verify must be set")
	case min(c.MaxConns, c.MaxConnsPerIP, c.SocketBuffer, c.Farewells) < 0:
		return errors.New("realtime: MaxConns, MaxConnsPerIP, SocketBuffer and Farewells must not be negative")
	case min(c.Processors, c.UpgradeShare, c.Effort) < 0 || c.Effort > 1:
		return errors.New("realtime: Processors and UpgradeShare must not be negative, and Effort from 0 to 1")
	case min(c.Tick, c.Heartbeat, c.WriteTimeout, c.CloseGrace, c.Linger) < 0:
		return errors.New("realtime: Tick, Heartbeat, WriteTimeout, CloseGrace and Linger must not be negative")
	}
	return nil
}

// peerTimeout is how long a client may be silent: a heartbeat and the time that its
// answer may take, less what it takes to see that it is late.
func (c *Config) peerTimeout() time.Duration {
	return c.Heartbeat + c.Heartbeat/2 - min(lateEvery, c.Heartbeat/8)
}

// Gateway serves the feeds of a process. It is a lifecycle.Part.
type Gateway struct {
	cfg      Config
	born     time.Time
	meters   *meters
	watch    *reactor.Watch // reads what clients send; set by Start, nil where there is none
	origins  origins
	gate     gate
	audience audience
	vigil    vigil
	lateness lateness
	effort   effort
	writers  sync.Pool // of *writer
	upgrades upgrades

	beat  lifecycle.Group // pings, ends hubs that nobody watches, and looks at holds and for who is late
	conns sync.WaitGroup  // the connections, and the drains of threaded lines; raised under mu, while running

	mu      sync.Mutex
	running bool                    // under mu
	hubs    map[onsale.EventID]*hub // under mu
}

var _ lifecycle.Part = (*Gateway)(nil)

// New returns a gateway that has not started, or an error that names what the
// config lacks.
func New(cfg Config) (*Gateway, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg:      cfg,
		origins:  newOrigins(cfg.Origins),
		gate:     gate{max: cfg.MaxConns, maxPerNetwork: cfg.MaxConnsPerIP},
		born:     time.Now(),
		upgrades: newUpgrades(cfg.UpgradeShare),
		effort:   effort{processors: cfg.Processors, most: cfg.Effort},
		lateness: lateness{some: make(chan struct{}, 1)},
		hubs:     map[onsale.EventID]*hub{},
	}
	g.meters = newMeters(cfg.Metrics, g.gate.open)
	g.vigil.gateway, g.vigil.some = g, make(chan struct{}, 1)
	return g, nil
}

// Start lets feeds be opened. A gateway that was stopped can't be started again. Errors: the system's,
// if it has no descriptors left.
func (g *Gateway) Start(ctx context.Context) error {
	watch, err := reactor.NewWatch()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("realtime: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch = watch
	g.running = true
	g.beat.Go(ctx, g.keepBeat)
	g.beat.Go(ctx, g.vigil.run)
	g.beat.Go(ctx, g.lookForLate)
	return nil
}

// enter counts a connection, unless the gateway is stopping.
func (g *Gateway) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running {
		g.conns.Add(1)
	}
	return g.running
}

// follow returns the event's hub, running, and counts the caller among its
// watchers until it calls unwatch.
func (g *Gateway) follow(layout *onsale.Layout) (*hub, error) {
	g.mu.Lock()
	if !g.running {
		g.mu.Unlock()
		return nil, refuseBusy(reasonStopping, onsale.CodeUnavailable, "the feed is restarting: try again", nil)
	}
	id := layout.Event.ID
	h := g.hubs[id]
	if h == nil {
		h = newHub(g, layout)
		g.hubs[id] = h
	}
	h.watchers++
	g.mu.Unlock()

	if err := h.start(); err != nil {
		g.mu.Lock()
		h.watchers--
		if g.hubs[id] == h {
			delete(g.hubs, id)
		}
		g.mu.Unlock()
		return nil, refuseBusy(reasonSource, onsale.CodeUnavailable, "the event can't be followed right now: try again", err)
	}
	return h, nil
}

func (g *Gateway) unwatch(h *hub) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h.watchers--
	h.idleSince = time.Now()
}

func (g *Gateway) isRunning() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}
