// Package engine is the front tier: it speaks HTTP, knows who asks, and hands on.
//
// The way of a request: server.go (limits, deadline) → routes.go (who may) → the
// handler in events.go, buying.go, orders.go or admin.go (words of HTTP to words
// of Onsale) → holds, checkout, persist or realtime. A handler decides nothing
// about stock, money or orders; whoever it asks does.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/engine/web"
	"onsale/internal/histogram"
	"onsale/internal/lifecycle"
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
	// defaultConcurrency is how many requests may be under way.
	defaultConcurrency = 200_000
)

// Config says what a server serves. A process has the parts of its roles: without
// a Shop it sells nothing, without a Gateway it has no feed.
type Config struct {
	Listen     string // host:port; port 0 takes a free one
	AdminToken string // the operator's; "" refuses operators
	Sessions   *Sessions
	Shop       *Shop
	Gateway    *realtime.Gateway
	Ready      func(context.Context) error // nil when every store answers
	Metrics    *metrics.Set
	Log        *slog.Logger
}

// Server is the HTTP server of a process. It is a lifecycle.Part.
type Server struct {
	cfg     Config
	router  *router
	http    *fasthttp.Server
	seconds *histogram.Family
	group   lifecycle.Group

	listener net.Listener // set by Start
}

// NewServer returns a server that has not started.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, seconds: histogram.NewFamily(cfg.Metrics, "onsale_http_request_seconds", "route")}
	s.router = newRouter(s.routes())
	s.http = &fasthttp.Server{
		Handler: s.serve, Name: "onsale", Concurrency: defaultConcurrency,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ReadBufferSize: readBufferSize, MaxRequestBodySize: onsale.MaxEventBytes,
		NoDefaultDate: true, NoDefaultContentType: true, NoDefaultServerHeader: true,
		KeepHijackedConns: true, TCPKeepalive: true, CloseOnShutdown: true,
		ErrorHandler: refuseUnreadable, Logger: quietLogger{},
	}
	return s
}

// Start listens. An address in use is an error of one line that says what to do.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("can't listen on %s: give another address with --listen or --port: %w", s.cfg.Listen, err)
	}
	s.listener = listener
	s.group.Go(ctx, func(context.Context) {
		if err := s.http.Serve(listener); err != nil {
			s.cfg.Log.Error("the HTTP server ended", "error", err)
		}
	})
	return nil
}

// URL is where the server listens, as http://host:port. Valid after Start.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Stop refuses new connections, lets the requests under way end, and returns.
func (s *Server) Stop(ctx context.Context) error {
	if s.listener == nil {
		return nil
	}
	err := s.http.ShutdownWithContext(ctx)
	return errors.Join(err, s.group.Stop(ctx))
}

func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	start := time.Now()
	path := string(ctx.Path())
	if !strings.HasPrefix(path, "/v1/") {
		s.servePlain(ctx, path)
		return
	}
	found, param, allow := s.router.find(string(ctx.Method()), path)
	name := "unknown"
	err := func() error {
		switch {
		case found == nil && allow != "":
			ctx.Response.Header.Set(fasthttp.HeaderAllow, allow)
			return onsale.Refuse(onsale.CodeMethodNotAllowed, "this path knows "+allow)
		case found == nil:
			return onsale.Refuse(onsale.CodeNotFound, "there is nothing here; /openapi.yaml lists what there is")
		}
		name = found.method + " " + found.path
		return s.call(ctx, found, param)
	}()
	code := onsale.Code("ok")
	if err != nil {
		code = refuse(ctx, err)
		if code == onsale.CodeMethodNotAllowed {
			ctx.Response.Header.Set(fasthttp.HeaderAllow, allow)
		}
		if code == onsale.CodeInternal {
			s.cfg.Log.Error("request failed", "route", name, "error", err)
		}
	}
	s.cfg.Metrics.GetOrCreateCounter(`onsale_http_requests_total{route="` + name + `",code="` + string(code) + `"}`).Inc()
	s.seconds.With(name).Since(start)
}

func (s *Server) call(ctx *fasthttp.RequestCtx, found *route, param string) error {
	if len(ctx.PostBody()) > found.most {
		return onsale.Refuse(onsale.CodeTooLarge, fmt.Sprintf("the body may have %d bytes", found.most))
	}
	timeout := requestTimeout
	if found.who == operators {
		timeout = auditTimeout
	}
	std, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r := &request{ctx: ctx, std: std, param: param}
	if err := s.admit(r, found.who); err != nil {
		return err
	}
	return found.handle(r)
}

func (s *Server) watch(r *request) error {
	return s.cfg.Gateway.ServeHTTP(r.ctx, onsale.EventID(r.param))
}

// servePlain serves what is not the API: health, metrics, the description, the pages.
func (s *Server) servePlain(ctx *fasthttp.RequestCtx, path string) {
	if !ctx.IsGet() && !ctx.IsHead() {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		refuse(ctx, onsale.Refuse(onsale.CodeMethodNotAllowed, "this path knows GET"))
		return
	}
	switch path {
	case "/livez":
		ctx.SetContentType("text/plain")
		ctx.SetBodyString("ok\n")
	case "/readyz":
		s.serveReady(ctx)
	case "/metrics":
		ctx.SetContentType("text/plain; version=0.0.4")
		s.cfg.Metrics.WritePrometheus(ctx)
		metrics.WriteProcessMetrics(ctx)
	case "/openapi.yaml":
		ctx.SetContentType("application/yaml")
		ctx.SetBody(openAPI)
	default:
		if s.cfg.Shop == nil {
			refuse(ctx, onsale.Refuse(onsale.CodeNotFound, "this process serves no pages"))
			return
		}
		servePage(ctx, path)
	}
}

func (s *Server) serveReady(ctx *fasthttp.RequestCtx) {
	std, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := s.cfg.Ready(std); err != nil {
		s.cfg.Log.Warn("not ready", "error", err)
		refuse(ctx, onsale.Busy(onsale.CodeUnavailable, "not ready: a store does not answer", time.Second, err))
		return
	}
	ctx.SetContentType("text/plain")
	ctx.SetBodyString("ok\n")
}

func servePage(ctx *fasthttp.RequestCtx, path string) {
	body, contentType, etag, ok := web.Asset(path)
	if !ok {
		refuse(ctx, onsale.Refuse(onsale.CodeNotFound, "there is no such page"))
		return
	}
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderETag, etag)
	h.Set(fasthttp.HeaderCacheControl, web.CacheControl(path))
	h.Set(fasthttp.HeaderContentSecurityPolicy, web.ContentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)) == etag {
		ctx.SetStatusCode(http.StatusNotModified)
		return
	}
	ctx.SetContentType(contentType)
	ctx.SetBody(body)
}

// refuseUnreadable answers what fasthttp could not read as a request.
func refuseUnreadable(ctx *fasthttp.RequestCtx, err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		refuse(ctx, onsale.Refuse(onsale.CodeTooLarge, "the body is too large"))
	case errors.As(err, &timeout) && timeout.Timeout():
		refuse(ctx, onsale.Refuse(onsale.CodeBadRequest, "the request did not arrive in time"))
	default:
		refuse(ctx, onsale.Refuse(onsale.CodeBadRequest, "this is not an HTTP request we can read"))
	}
	ctx.SetConnectionClose()
}

// quietLogger drops fasthttp's own lines: they tell of clients that hang up.
type quietLogger struct{}

func (quietLogger) Printf(string, ...any) {}
