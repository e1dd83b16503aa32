// Package peers has what Onsale is measured against: the floor, and the ways in which
// others sell seats, written as small as can be and honest. Each is an HTTP server that
// takes the same requests as Onsale.
package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// The time-outs of a peer's connections.
const (
	readTimeout  = 5 * time.Minute // between two rounds too
	writeTimeout = 30 * time.Second
)

// Noop answers every request with 201 and nothing: what HTTP alone costs here.
func Noop(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusCreated) }

// Serve lets a handler answer on a free loopback port until ctx ends. ready is told
// the URL.
func Serve(ctx context.Context, handler fasthttp.RequestHandler, ready func(url string) error) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	server := &fasthttp.Server{Handler: handler, Name: "peer", ReadTimeout: readTimeout, WriteTimeout: writeTimeout, NoDefaultDate: true}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }() // ends with the listener, and is waited for below
	told := ready("http://" + listener.Addr().String())
	if told == nil {
		select {
		case err := <-ended:
			return fmt.Errorf("peer: the server ended by itself: %w", err)
		case <-ctx.Done():
		}
	}
	return errors.Join(told, listener.Close(), <-ended)
}
