package engine

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

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
	onsale.CodeUnknownContact:   http.StatusNotFound,
	onsale.CodeUnknownWebhook:   http.StatusNotFound,
	onsale.CodeUnknownDelivery:  http.StatusNotFound,
	onsale.CodeUnknownTicket:    http.StatusNotFound,
	onsale.CodeUnknownTransfer:  http.StatusNotFound,
	onsale.CodeMethodNotAllowed: http.StatusMethodNotAllowed,
	onsale.CodeWebhookExists:    http.StatusConflict,
	onsale.CodeWebhookLimit:     http.StatusConflict,
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
	onsale.CodeNotRefundable:    http.StatusConflict,
	onsale.CodeAmbiguousRefund:  http.StatusConflict,
	onsale.CodeTicketVoid:       http.StatusConflict,
	onsale.CodeTicketBlocked:    http.StatusConflict,
	onsale.CodeTicketReissued:   http.StatusConflict,
	onsale.CodeAlreadyAdmitted:  http.StatusConflict,
	onsale.CodeOtherEvent:       http.StatusConflict,
	onsale.CodeTransferLimit:    http.StatusConflict,
	onsale.CodeTransferEnded:    http.StatusGone,
	onsale.CodeHoldEnded:        http.StatusGone,
	onsale.CodeTooLarge:         http.StatusRequestEntityTooLarge,
	onsale.CodeKeyReused:        http.StatusUnprocessableEntity,
	onsale.CodeForgedCode:       http.StatusUnprocessableEntity,
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

// refusal is an answer that says why not.
type refusal struct {
	code   onsale.Code
	status int
	body   []byte // a problem; not to be changed
	retry  time.Duration
	allow  string // the methods that the path knows, if another was asked for
}

// refusalOf is what is answered for err. What went wrong inside is for the log, never for the
// buyer.
func refusalOf(err error) refusal {
	e, ok := errors.AsType[*onsale.Error](err)
	if !ok {
		e = onsale.Refuse(onsale.CodeInternal, "something is wrong on our side; nothing was charged")
	}
	status, ok := statusOf[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	r := refusal{code: e.Code, status: status, body: written.body(e, status), retry: e.RetryAfter}
	if e.Code == onsale.CodeMethodNotAllowed {
		if m, ok := errors.AsType[*methodRefusal](err); ok {
			r.allow = m.allow
		}
	}
	return r
}

// headers tells of those that not every refusal has.
func (r *refusal) headers(set func(name, value string)) {
	if r.allow != "" {
		set(fasthttp.HeaderAllow, r.allow)
	}
	if r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests {
		set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(max(1, math.Ceil(r.retry.Seconds())))))
	}
	if r.status == http.StatusUnauthorized {
		set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="onsale"`)
	}
}

// refuse answers with err.
func refuse(ctx *fasthttp.RequestCtx, err error) onsale.Code {
	r := refusalOf(err)
	last := ctx.Response.ConnectionClose()
	ctx.Response.Reset()
	if last {
		ctx.SetConnectionClose()
	}
	ctx.SetStatusCode(r.status)
	ctx.Response.Header.SetContentTypeBytes(typeProblem)
	ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
	r.headers(ctx.Response.Header.Set)
	ctx.Response.SetBodyRaw(r.body)
	return r.code
}

var (
	typeProblem        = []byte("application/problem+json")
	typeJSON           = []byte("application/json")
	headerCacheControl = []byte(fasthttp.HeaderCacheControl)
	noStore            = []byte("no-store")
)

// written are bodies of sold-out refusals, as they were written last: what a mirror
// refuses is one error, told to a crowd.
var written writtenRefusals

// writtenRefusals keeps few bodies, where the error's address leads. Safe for concurrent use.
type writtenRefusals struct {
	slots [64]atomic.Pointer[writtenRefusal]
}

type writtenRefusal struct {
	err  *onsale.Error
	body []byte // never changed
}

func (w *writtenRefusals) body(e *onsale.Error, status int) []byte {
	if e.Code != onsale.CodeSoldOut {
		return problemBody(e, status)
	}
	slot := &w.slots[maphash.Comparable(refusalSeed, e)%uint64(len(w.slots))]
	r := slot.Load()
	if r == nil || r.err != e {
		r = &writtenRefusal{e, problemBody(e, status)}
		slot.Store(r)
	}
	return r.body
}

var refusalSeed = maphash.MakeSeed()

func problemBody(e *onsale.Error, status int) []byte {
	body, err := json.Marshal(problem{Type: "urn:onsale:problem:" + string(e.Code), Title: http.StatusText(status), Status: status, Error: e})
	if err != nil {
		panic(err) // strings and numbers: a programming mistake
	}
	return body
}
