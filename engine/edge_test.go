package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
)

// edge is a server with routes of the test's own, and nothing behind it.
type edge struct {
	*Server
	set *metrics.Set
	log *lockedBuffer
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // under mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newEdge(t *testing.T, cfg Config, routes ...route) *edge {
	t.Helper()
	e := &edge{set: metrics.NewSet(), log: &lockedBuffer{}}
	cfg.Listen, cfg.Metrics, cfg.Log = "127.0.0.1:0", e.set, slog.New(slog.NewTextHandler(e.log, nil))
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) error { return nil }
	}
	e.Server = NewServer(cfg)
	e.router = newRouter(routes, e.tally)
	return e
}

func (e *edge) start(t *testing.T) *edge {
	t.Helper()
	return e.startOn(t, must(net.Listen("tcp", "127.0.0.1:0")))
}

func (e *edge) startOn(t *testing.T, inner net.Listener) *edge {
	t.Helper()
	e.serveOn(t.Context(), inner)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// metric is a counter's or gauge's value.
func (e *edge) metric(name string) string {
	var text bytes.Buffer
	e.set.WritePrometheus(&text)
	for line := range strings.Lines(text.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// eventually polls with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// say sends text on a connection of its own.
func (e *edge) say(t *testing.T, text string) net.Conn {
	t.Helper()
	c := must(net.Dial("tcp", e.listener.Addr().String()))
	t.Cleanup(func() { _ = c.Close() })
	must(io.WriteString(c, text))
	return c
}

// hear reads one answer. A connection that is closed without one is nil.
func hear(t *testing.T, c net.Conn, method string) (*http.Response, string) {
	t.Helper()
	check(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, ""
	}
	check(t, err)
	return response, must(readAll(response))
}

// ask sends one request, headers given as "Name: value", and returns its answer.
func (e *edge) ask(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", method, path)
	if body != "" {
		headers = append(headers, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	for _, h := range headers {
		text += h + "\r\n"
	}
	response, answer := hear(t, e.say(t, text+"\r\n"+body), method)
	if response == nil {
		t.Fatalf("%s %s: closed without an answer", method, path)
	}
	return response, answer
}

// replies is a route that answers its JSON body.
func replies(method, path string, body any) route {
	return route{method, path, anyone, onsale.MaxBodyBytes, func(r *request) error { return r.validated(body) }}
}
