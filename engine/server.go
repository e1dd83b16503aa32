// Package engine is the front tier: it speaks HTTP, knows who asks, and hands on.
//
// The way of a request: server.go (limits, deadline) → routes.go (who may) → the
// handler in events.go, buying.go, orders.go or admin.go (words of HTTP to words
// of Onsale) → holds, checkout, persist or realtime. A handler decides nothing
// about stock, money or orders; whoever it asks does.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/internal/histogram"
	"onsale/internal/lifecycle"
	"onsale/internal/reactor"
	"onsale/realtime"
)

// The bounds of a connection and a request. fasthttp's own defaults are none.
const (
	readTimeout    = 10 * time.Second
	writeTimeout   = 15 * time.Second
	idleTimeout    = 75 * time.Second
	requestTimeout = 8 * time.Second
	// auditTimeout replaces requestTimeout for the audit, which may wait for orders.
	auditTimeout   = 330 * time.Second
	readBufferSize = 8 << 10 // of the request line and headers together
	// defaultMaxConns is how many connections may be open.
	defaultMaxConns = 200_000
	// drainTime is how long the requests under way may take to end by themselves
	// when the server stops. Then their contexts end: an audit that waits for orders
	// would hold up the stopping of everything else.
	drainTime = 2 * time.Second
	// lingerStep is how often it is looked whether connections are left to linger for.
	lingerStep = 20 * time.Millisecond
)

// Config says what a server serves. A process has the parts of its roles: without
// a Shop it sells nothing, without a Gateway it has no feed.
type Config struct {
	Listen     string        // host:port; port 0 takes a free one
	Listener   net.Listener  // what to serve on instead of Listen, if it is inherited; the server closes it
	Linger     time.Duration // how long, once stopping, what is open may bring one more request; default 0
	AdminToken string        // the operator's; "" refuses operators
	Sessions   *Sessions
	Shop       *Shop
	Gateway    *realtime.Gateway
	Ready      func(context.Context) error // nil when every store answers
	// FeedsPerSecond is how many connections a second may become feeds; those beyond it
	// aren't accepted yet. Default 0: no limit.
	FeedsPerSecond float64
	MaxConns       int // open connections at the most, those that became feeds not counted; default 200,000
	Metrics        *metrics.Set
	Log            *slog.Logger
}

// Server is the HTTP server of a process. It is a lifecycle.Part.
type Server struct {
	cfg     Config
	router  *router
	http    *fasthttp.Server
	ready   readiness
	seconds *histogram.Family
	panics  *metrics.Counter
	quicks  *metrics.Counter // answers of quick.go

	unknown, unreadable, pages, panicked *tally // of what is no route
	holds, checkouts                     *tally // of the routes that quick.go answers too

	group  lifecycle.Group
	exited chan error

	life context.Context // of every request
	end  context.CancelFunc

	listener  *listener        // set by Start
	reactor   *reactor.Reactor // set by Start; nil where there is none
	exchanges sync.Pool        // of *exchange: in nobody's hands
	draining  atomic.Bool      // Stop has begun: connections end with their answer
}

// NewServer returns a server that has not started.
func NewServer(cfg Config) *Server {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	s := &Server{cfg: cfg, ready: readiness{ask: cfg.Ready}, exited: make(chan error, 1),
		seconds: histogram.NewFamily(cfg.Metrics, "onsale_http_request_seconds", "route"),
		panics:  cfg.Metrics.GetOrCreateCounter("onsale_panics_total"),
		quicks:  cfg.Metrics.GetOrCreateCounter("onsale_http_quick_answers_total")}
	s.life, s.end = context.WithCancel(context.Background())
	s.unknown, s.unreadable = s.tally("unknown"), s.tally("unreadable")
	s.pages, s.panicked = s.tally("pages"), s.tally("panicked")
	s.router = newRouter(s.routes(), s.tally)
	s.holds, s.checkouts = s.tally("POST /v1/events/{event}/holds"), s.tally("POST /v1/holds/{hold}/checkout")
	s.http = &fasthttp.Server{
		Handler: s.serve, Concurrency: defaultMaxConns,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ReadBufferSize: readBufferSize, HeaderReceived: boundBody,
		NoDefaultDate: true, NoDefaultContentType: true, NoDefaultServerHeader: true,
		KeepHijackedConns: true, CloseOnShutdown: true,
		DisablePreParseMultipartForm: true, // which would write files
		ErrorHandler:                 s.refuseUnreadable, Logger: quietLogger{},
	}
	return s
}

// Start listens. An address in use is an error of one line that says what to do.
func (s *Server) Start(ctx context.Context) error {
	if s.cfg.Listener != nil {
		s.serveOn(ctx, s.cfg.Listener)
		return nil
	}
	var lc net.ListenConfig // it keeps connections alive, so fasthttp needn't: there, one that is reset at once ends the server
	inner, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("can't listen on %s: give another address with --listen or --port: %w", s.cfg.Listen, err)
	}
	s.serveOn(ctx, inner)
	return nil
}

func (s *Server) serveOn(ctx context.Context, inner net.Listener) {
	serve := func() error { return s.http.Serve(s.listener) }
	switch looped, err := s.loop(ctx, inner); {
	case err == nil:
		inner, serve = looped, s.takeAll
	case !errors.Is(err, errors.ErrUnsupported):
		s.cfg.Log.Warn("there is no event loop: each connection has a goroutine of its own", "error", err)
	}
	s.listener = newListener(inner, s.cfg)
	s.http.ConnState = s.listener.changed
	s.group.Go(ctx, func(context.Context) {
		if err := serve(); err != nil {
			s.exited <- fmt.Errorf("the HTTP server ended by itself: %w", err)
		}
	})
}

// loop starts the reactor and returns a listener for it. errors.ErrUnsupported where there is none.
func (s *Server) loop(ctx context.Context, inner net.Listener) (net.Listener, error) {
	tcp, ok := inner.(*net.TCPListener)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	r, err := reactor.New(reactor.Config{
		Quick: s.quick, Serve: s.http.ServeConn, Closed: func() { s.listener.left() }, Idle: idleTimeout, First: s.http.ReadTimeout, Patience: writeTimeout,
	})
	if err != nil {
		return nil, err
	}
	looped, err := reactor.Listen(tcp)
	if err != nil {
		return nil, errors.Join(err, r.Stop(ctx))
	}
	s.reactor = r
	return looped, nil
}

// takeAll gives the reactor every connection, until the listener is closed.
func (s *Server) takeAll() error {
	for {
		c, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		s.reactor.Take(c)
	}
}

// URL is where the server listens, as http://host:port. Valid after Start.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Exited gets one error if the server ends without being stopped.
func (s *Server) Exited() <-chan error { return s.exited }

// Stop accepts no more connections, lingers, and waits for the requests under way, whose
// contexts end after drainTime.
func (s *Server) Stop(ctx context.Context) error {
	defer s.end()
	s.draining.Store(true)
	if s.listener == nil {
		return nil
	}
	err := s.listener.Close() // fasthttp closes it only if it has come to serving
	s.linger(ctx)
	cut := time.AfterFunc(drainTime, s.end)
	defer cut.Stop()
	if s.reactor != nil {
		err = errors.Join(err, s.reactor.Stop(ctx))
	}
	return errors.Join(err, s.http.ShutdownWithContext(ctx), s.group.Stop(ctx))
}

// linger waits for the open connections to end, each with its next answer, but no longer
// than Linger: a client that keeps its connections would lose a request that was on its
// way as they were closed.
func (s *Server) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Linger)
	defer cancel()
	select {
	case <-s.listener.ended:
	case <-ctx.Done():
		return
	}
	lifecycle.Every(ctx, lingerStep, func(context.Context) {
		if s.listener.open.Load() == 0 {
			cancel()
		}
	})
}

func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	start, path := time.Now(), ctx.Path()
	tally, code := s.guard(ctx, func() (*tally, error) {
		if !bytes.HasPrefix(path, apiPrefix) {
			return s.pages, s.servePlain(ctx, string(path))
		}
		found, param, err := s.router.find(ctx.Method(), path)
		if err != nil {
			return s.unknown, err
		}
		return found.tally, s.call(ctx, &found.route, param)
	})
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
	tally.note(code, start)
}

var apiPrefix = []byte("/v1/")

// guard runs a handler and answers its refusal. It returns where and under which
// code the request counts. A panic is a defect that one request has met: it is
// answered and logged, and ends nothing else.
func (s *Server) guard(ctx *fasthttp.RequestCtx, handle func() (*tally, error)) (route *tally, code onsale.Code) {
	defer func() {
		if p := recover(); p != nil {
			s.panics.Inc()
			s.cfg.Log.Error("a handler panicked", "panic", p, "stack", string(debug.Stack()))
			route, code = s.panicked, refuse(ctx, fmt.Errorf("panic: %v", p))
		}
	}()
	route, err := handle()
	if err == nil {
		return route, "ok"
	}
	if code = refuse(ctx, err); code == onsale.CodeInternal {
		s.cfg.Log.Error("request failed", "route", route.route, "error", err)
	}
	return route, code
}

func (s *Server) call(ctx *fasthttp.RequestCtx, found *route, param string) error {
	if err := checkFraming(ctx); err != nil {
		return err
	}
	if len(ctx.PostBody()) > found.most {
		return onsale.Refuse(onsale.CodeTooLarge, fmt.Sprintf("the body may have %d bytes", found.most))
	}
	timeout := requestTimeout
	if found.who == operators {
		timeout = auditTimeout
	}
	r, _ := requests.Get().(*request)
	*r = request{ctx: ctx, life: s.life, most: timeout, param: param}
	defer r.end()
	if err := s.admit(r, found.who); err != nil {
		return err
	}
	return found.handle(r)
}

func (s *Server) watch(r *request) error {
	err := s.cfg.Gateway.ServeHTTP(r.ctx, onsale.EventID(r.param))
	if err == nil { // a connection pays once: it is the feed's now
		s.listener.gate.charge()
	}
	return err
}

// quietLogger drops fasthttp's own lines: they tell of clients that hang up.
type quietLogger struct{}

func (quietLogger) Printf(string, ...any) {}
