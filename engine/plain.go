package engine

import (
	"context"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/engine/web"
)

// servePlain serves what is not the API: health, metrics, the description, the pages.
func (s *Server) servePlain(ctx *fasthttp.RequestCtx, path string) error {
	if !ctx.IsGet() && !ctx.IsHead() {
		return refuseMethod(fasthttp.MethodGet)
	}
	switch path {
	case "/livez":
		ctx.SetContentType("text/plain")
		ctx.SetBodyString("ok\n")
	case "/readyz":
		return s.serveReady(ctx)
	case "/metrics":
		ctx.SetContentType("text/plain; version=0.0.4")
		s.cfg.Metrics.WritePrometheus(ctx)
		metrics.WriteProcessMetrics(ctx)
	case "/openapi.yaml":
		serveTagged(ctx, openAPI, "application/yaml", openAPITag, mustRevalidate)
	case "/asyncapi.yaml":
		serveTagged(ctx, asyncAPI, "application/yaml", asyncAPITag, mustRevalidate)
	default:
		if s.cfg.Shop == nil {
			return onsale.Refuse(onsale.CodeNotFound, "this process serves no pages")
		}
		return servePage(ctx, path)
	}
	return nil
}

func (s *Server) serveReady(ctx *fasthttp.RequestCtx) error {
	std, cancel := context.WithTimeout(s.life, requestTimeout)
	defer cancel()
	if err := s.ready.check(std); err != nil {
		s.cfg.Log.Warn("not ready", "error", err)
		return onsale.Busy(onsale.CodeUnavailable, "not ready: a store does not answer", time.Second, err)
	}
	ctx.SetContentType("text/plain")
	ctx.SetBodyString("ok\n")
	return nil
}

func servePage(ctx *fasthttp.RequestCtx, path string) error {
	body, contentType, etag, ok := web.Asset(path)
	if !ok {
		return onsale.Refuse(onsale.CodeNotFound, "there is no such page")
	}
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderContentSecurityPolicy, web.ContentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	serveTagged(ctx, body, contentType, etag, web.CacheControl(path))
	return nil
}

// serveTagged answers a body that clients may keep, or 304 to who has it already.
func serveTagged(ctx *fasthttp.RequestCtx, body []byte, contentType, etag, cacheControl string) {
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, cacheControl)
	if unchanged(ctx, etag) {
		return
	}
	ctx.SetContentType(contentType)
	ctx.SetBody(body)
}
