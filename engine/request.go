package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
)

// request is one HTTP request on its way through a handler. Nothing of ctx may be
// kept after the handler returns.
type request struct {
	ctx    *fasthttp.RequestCtx
	life   context.Context // the server's
	most   time.Duration   // how long it may take
	param  string          // the path's parameter
	buyer  onsale.BuyerID  // of a buyers' route
	std    context.Context // see context
	cancel context.CancelFunc
}

// context ends at the request's deadline. It costs a timer, so it is made for those who
// ask for it: who only asks the desk, whose answers come in time by themselves, does
// with the server's life.
func (r *request) context() context.Context {
	if r.std == nil {
		r.std, r.cancel = context.WithTimeout(r.life, r.most)
	}
	return r.std
}

// requests are in nobody's hands.
var requests = sync.Pool{New: func() any { return new(request) }}

// end is to be called when the request has been answered. Nothing may use it after.
func (r *request) end() {
	if r.cancel != nil {
		r.cancel()
	}
	requests.Put(r)
}

// reply answers with a JSON body.
func (r *request) reply(status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r.describe(status)
	r.ctx.Response.SetBodyRaw(data)
	return nil
}

// describe says of an answer that it is JSON and, unless it was said otherwise, not to be kept.
func (r *request) describe(status int) {
	r.ctx.SetStatusCode(status)
	r.ctx.Response.Header.SetContentTypeBytes(typeJSON)
	if len(r.ctx.Response.Header.PeekBytes(headerCacheControl)) == 0 {
		r.ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
	}
}

// validated answers 200 with a JSON body that clients may keep, if they ask each
// time whether it still holds; who has it already is answered 304.
func (r *request) validated(body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	serveTagged(r.ctx, data, "application/json", entityTag(data), mustRevalidate)
	return nil
}

// created answers 201 or 202 with the place of what is new.
func (r *request) created(status int, location string, body any) error {
	r.ctx.Response.Header.Set(fasthttp.HeaderLocation, location)
	return r.reply(status, body)
}

// createdPlain is created for a body that writes itself, into the connection's own buffer: a rush
// is answered so.
func (r *request) createdPlain(status int, location string, body interface {
	AppendJSON(to []byte) ([]byte, error)
}) error {
	answer := &r.ctx.Response
	text, err := body.AppendJSON(answer.SwapBody(nil)[:0])
	if err != nil {
		return err
	}
	answer.SwapBody(text)
	answer.Header.Set(fasthttp.HeaderLocation, location)
	r.describe(status)
	return nil
}

func (r *request) noContent() error {
	r.ctx.SetStatusCode(http.StatusNoContent)
	return nil
}

// read decodes the JSON body into v. Unknown fields are refused: a misspelt one
// would silently not count.
func (r *request) read(v any) error {
	d := json.NewDecoder(bytes.NewReader(r.ctx.PostBody()))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return onsale.Refuse(onsale.CodeBadRequest, "the body must be JSON of the documented form: "+plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return onsale.Refuse(onsale.CodeBadRequest, "the body must be one JSON object and nothing else")
	}
	return nil
}

// plain is what a JSON error says about the body, without Go's words for it.
func plain(err error) string {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return "it must be an object, not " + article(wrongType.Value)
	case errors.As(err, &wrongType):
		return "field " + wrongType.Field + " can't be " + article(wrongType.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too soon"
	}
	return err.Error()
}

// article puts one before JSON's word for a type, which may name the value: "number 1.5".
func article(value string) string {
	switch {
	case strings.Contains(value, " "):
		return "the " + value
	case strings.ContainsRune("aeiou", rune(value[0])):
		return "an " + value
	}
	return "a " + value
}

// key is the Idempotency-Key, "" if there is none.
func (r *request) key() (string, error) {
	key := r.ctx.Request.Header.Peek("Idempotency-Key")
	if len(key) > onsale.MaxKeyLength {
		return "", onsale.Refuse(onsale.CodeBadRequest, "Idempotency-Key is longer than 255 bytes")
	}
	return string(key), nil
}
