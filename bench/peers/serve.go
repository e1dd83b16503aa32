package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
)

// The time-outs of a peer's connections.
const (
	readTimeout  = 5 * time.Minute // between two rounds too
	writeTimeout = 30 * time.Second
)

// question is an HTTP request, whoever has read it.
type question struct {
	method, path string
	token        string // with "Bearer ": it stands for its buyer
	key          string
	body         []byte
}

// answer is what a peer says to it, as README.md has it.
func answer(ctx context.Context, peer Peer, q question) (status int, body []byte) {
	name, ok := strings.CutPrefix(q.path, "/v1/events/")
	if event, isHold := strings.CutSuffix(name, "/holds"); ok && isHold && q.method == http.MethodPost {
		return answerHold(ctx, peer, Request{Event: event, Buyer: q.token, Key: q.key}, q.body)
	}
	name, ok = strings.CutPrefix(q.path, "/events/")
	switch {
	case !ok:
	case q.method == http.MethodPut:
		var event struct {
			Capacity int64 `json:"capacity"`
			Limit    int64 `json:"max_per_buyer"`
		}
		if err := json.Unmarshal(q.body, &event); err != nil || event.Capacity < 1 || event.Limit < 1 {
			return http.StatusBadRequest, []byte("not an event")
		}
		if err := peer.Open(ctx, name, event.Capacity, event.Limit); err != nil {
			return http.StatusInternalServerError, []byte(err.Error())
		}
		return http.StatusNoContent, nil
	case q.method == http.MethodGet:
		sold, err := peer.Sold(ctx, name)
		if err != nil {
			return http.StatusInternalServerError, []byte(err.Error())
		}
		return http.StatusOK, fmt.Appendf(nil, `{"sold":%d}`, sold)
	}
	return http.StatusNotFound, nil
}

func answerHold(ctx context.Context, peer Peer, r Request, body []byte) (int, []byte) {
	var wish struct {
		Lines []onsale.Ask `json:"lines"`
	}
	if err := json.Unmarshal(body, &wish); err != nil || len(wish.Lines) != 1 || wish.Lines[0].Quantity != 1 || r.Buyer == "" || r.Key == "" {
		return http.StatusBadRequest, []byte("not a hold of one admission")
	}
	admission, err := peer.Hold(ctx, r)
	switch {
	case errors.Is(err, ErrNoneLeft), errors.Is(err, ErrLimit):
		return http.StatusConflict, []byte(err.Error())
	case errors.Is(err, ErrBusy):
		return http.StatusServiceUnavailable, []byte(err.Error())
	case err != nil:
		return http.StatusInternalServerError, []byte(err.Error())
	}
	return http.StatusCreated, append(strconv.AppendInt([]byte(`{"admission":`), admission, 10), '}')
}

// serveFast lets a peer answer over fasthttp.
func serveFast(ctx context.Context, peer Peer, ready func(url string) error) error {
	return Serve(ctx, func(c *fasthttp.RequestCtx) {
		status, body := answer(c, peer, question{
			method: string(c.Method()), path: string(c.Path()), body: c.PostBody(),
			token: string(c.Request.Header.Peek(fasthttp.HeaderAuthorization)),
			key:   string(c.Request.Header.Peek("Idempotency-Key")),
		})
		c.SetStatusCode(status)
		c.SetBody(body)
	}, ready)
}

// Serve lets a handler answer on a free loopback port until ctx ends. ready is told
// the URL.
func Serve(ctx context.Context, handler fasthttp.RequestHandler, ready func(url string) error) error {
	server := &fasthttp.Server{Handler: handler, Name: "peer", ReadTimeout: readTimeout, WriteTimeout: writeTimeout, NoDefaultDate: true}
	return listen(ctx, ready, server.Serve, func(l net.Listener) error { return l.Close() })
}

// serveNetHTTP lets a peer answer over net/http.
func serveNetHTTP(ctx context.Context, peer Peer, ready func(url string) error) error {
	server := &http.Server{ReadTimeout: readTimeout, WriteTimeout: writeTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, onsale.MaxBodyBytes))
		if err != nil {
			http.Error(w, "no body", http.StatusBadRequest)
			return
		}
		status, said := answer(r.Context(), peer, question{
			method: r.Method, path: r.URL.Path, body: body,
			token: r.Header.Get("Authorization"), key: r.Header.Get("Idempotency-Key"),
		})
		w.Header().Set("Content-Length", strconv.Itoa(len(said)))
		w.WriteHeader(status)
		_, _ = w.Write(said) // who asked may be gone
	})}
	return listen(ctx, ready, func(l net.Listener) error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, func(net.Listener) error { return server.Close() })
}

// listen serves a free loopback port until ctx ends; then stop makes serve return.
func listen(ctx context.Context, ready func(url string) error, serve, stop func(net.Listener) error) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve(listener) }() // ends with the listener, and is waited for below
	told := ready("http://" + listener.Addr().String())
	if told == nil {
		select {
		case err := <-ended:
			return fmt.Errorf("peer: the server ended by itself: %w", err)
		case <-ctx.Done():
		}
	}
	return errors.Join(told, stop(listener), <-ended)
}
