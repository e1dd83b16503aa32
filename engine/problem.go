package engine

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"

	"onsale"
)

// statusOf is the HTTP status of each code. A code that isn't here is a defect and
// answered 500.
var statusOf = map[onsale.Code]int{
	onsale.CodeBadRequest:       http.StatusBadRequest,
	onsale.CodeBadQuantity:      http.StatusBadRequest,
	onsale.CodeUnauthenticated:  http.StatusUnauthorized,
	onsale.CodeForbidden:        http.StatusForbidden,
	onsale.CodeNotFound:         http.StatusNotFound,
	onsale.CodeUnknownEvent:     http.StatusNotFound,
	onsale.CodeUnknownSection:   http.StatusNotFound,
	onsale.CodeUnknownSeat:      http.StatusNotFound,
	onsale.CodeUnknownHold:      http.StatusNotFound,
	onsale.CodeUnknownOrder:     http.StatusNotFound,
	onsale.CodeMethodNotAllowed: http.StatusMethodNotAllowed,
	onsale.CodeEventExists:      http.StatusConflict,
	onsale.CodeSoldOut:          http.StatusConflict,
	onsale.CodeSeatTaken:        http.StatusConflict,
	onsale.CodeNotTogether:      http.StatusConflict,
	onsale.CodeAccessible:       http.StatusConflict,
	onsale.CodeNotExtendable:    http.StatusConflict,
	onsale.CodeTooOften:         http.StatusTooManyRequests,
	onsale.CodeBuyerLimit:       http.StatusConflict,
	onsale.CodeNotOnSale:        http.StatusConflict,
	onsale.CodeHoldPinned:       http.StatusConflict,
	onsale.CodeBadTransition:    http.StatusConflict,
	onsale.CodeHoldEnded:        http.StatusGone,
	onsale.CodeTooLarge:         http.StatusRequestEntityTooLarge,
	onsale.CodeKeyReused:        http.StatusUnprocessableEntity,
	onsale.CodeBadEvent:         http.StatusUnprocessableEntity,
	onsale.CodeOverloaded:       http.StatusServiceUnavailable,
	onsale.CodeRecovering:       http.StatusServiceUnavailable,
	onsale.CodeUnavailable:      http.StatusServiceUnavailable,
	onsale.CodeInternal:         http.StatusInternalServerError,
	codeCutShort:                http.StatusRequestTimeout,
	codeHeadersTooLong:          http.StatusRequestHeaderFieldsTooLarge,
}

// problem is the body of a refusal: RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	*onsale.Error
}

// refuse answers with err. What went wrong inside is for the log, never for the
// buyer.
func refuse(ctx *fasthttp.RequestCtx, err error) onsale.Code {
	var e *onsale.Error
	if !errors.As(err, &e) {
		e = onsale.Refuse(onsale.CodeInternal, "something is wrong on our side; nothing was charged")
	}
	status, ok := statusOf[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	body, bad := json.Marshal(problem{Type: "urn:onsale:problem:" + string(e.Code), Title: http.StatusText(status), Status: status, Error: e})
	if bad != nil {
		panic(bad) // strings and numbers: a programming mistake
	}
	last := ctx.Response.ConnectionClose()
	ctx.Response.Reset()
	if last {
		ctx.SetConnectionClose()
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/problem+json")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	if m := (*methodRefusal)(nil); errors.As(err, &m) {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, m.allow)
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		seconds := max(1, math.Ceil(e.RetryAfter.Seconds()))
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if status == http.StatusUnauthorized {
		ctx.Response.Header.Set("WWW-Authenticate", `Bearer realm="onsale"`)
	}
	ctx.SetBody(body)
	return e.Code
}
