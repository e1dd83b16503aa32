package engine

import (
	"bytes"
	"errors"
	"net"
	"strings"

	"github.com/valyala/fasthttp"

	"onsale"
)

// The codes of what never became a request. No other part of Onsale knows them.
const (
	codeCutShort       onsale.Code = "request_timeout"   // 408: it didn't arrive in time
	codeHeadersTooLong onsale.Code = "headers_too_large" // 431: request line and headers exceed readBufferSize
)

// adminEvents is where the one large body goes.
var adminEvents = []byte("/v1/admin/events")

// boundBody says how large a request's body may be, before any of it is read.
func boundBody(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if bytes.HasPrefix(h.RequestURI(), adminEvents) {
		return fasthttp.RequestConfig{MaxRequestBodySize: onsale.MaxEventBytes}
	}
	if string(h.RequestURI()) == noticesPath {
		return fasthttp.RequestConfig{MaxRequestBodySize: maxNoticeBytes}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: onsale.MaxBodyBytes}
}

// refuseUnreadable answers what could not be read as a request, and closes the
// connection: where the next request would begin isn't known. Who never said anything
// is not answered.
func (s *Server) refuseUnreadable(ctx *fasthttp.RequestCtx, err error) {
	if c, ok := ctx.Conn().(*conn); ok && !c.spoken {
		_ = c.Close() // the answer that fasthttp writes now goes nowhere
		return
	}
	s.unreadable.count(refuse(ctx, unreadable(err)))
	ctx.SetConnectionClose()
}

func unreadable(err error) error {
	var timeout net.Error
	var tooLong *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return onsale.Refuse(onsale.CodeTooLarge, "the body is too large for this path")
	case errors.As(err, &tooLong):
		return onsale.Refuse(codeHeadersTooLong, "the request line and the headers are too long")
	case errors.As(err, &timeout) && timeout.Timeout():
		return onsale.Refuse(codeCutShort, "the request did not arrive in time; send it again")
	}
	return onsale.Refuse(onsale.CodeBadRequest, "this is not an HTTP request we can read")
}

// checkFraming refuses a request that says in two ways where it ends: what stands
// before us may have believed the other one. fasthttp would believe
// Transfer-Encoding. Source: RFC 9112, section 6.1.
func checkFraming(ctx *fasthttp.RequestCtx) error {
	raw := ctx.Request.Header.RawHeaders()
	if !names(raw, fasthttp.HeaderTransferEncoding) || !names(raw, fasthttp.HeaderContentLength) {
		return nil
	}
	ctx.SetConnectionClose()
	return onsale.Refuse(onsale.CodeBadRequest, "Content-Length and Transfer-Encoding exclude each other")
}

// names reports whether a header is among the raw ones. It is asked with every request.
func names(raw []byte, header string) bool {
	first := header[0] | ' ' // in lower case
	for len(raw) > len(header) {
		if raw[0]|' ' == first && raw[len(header)] == ':' && strings.EqualFold(string(raw[:len(header)]), header) {
			return true
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			return false
		}
		raw = raw[end+1:]
	}
	return false
}
