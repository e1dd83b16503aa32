package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"onsale/bench/peers"
)

func TestAnswersAreReadByTheirLength(t *testing.T) {
	t.Parallel()
	whole := "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
	for i := range len(whole) {
		if a, ok := parseAnswer([]byte(whole[:i])); ok {
			t.Fatalf("%d of %d bytes are taken for an answer: %+v", i, len(whole), a)
		}
	}
	for text, want := range map[string]string{
		whole: "201 hello -1 false",
		"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n":                                   "409  -1 false",
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n":                                 "204  -1 true",
		"HTTP/1.1 503 Unavailable\r\nRetry-After: 12\r\nContent-Length: 1\r\n\r\nx":            "503 x 12 false",
		"HTTP/1.1 429 Too Many\r\nRetry-After: soon\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200": "429 x -1 false",
	} {
		a, ok := parseAnswer([]byte(text))
		if got := fmt.Sprintf("%d %s %d %v", a.status, a.body, a.number(retryAfter), a.last()); !ok || got != want {
			t.Errorf("%q is read as %q, %v; want %q", text, got, ok, want)
		}
	}
	if a, ok := parseAnswer([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")); ok || !a.unmeasured() {
		t.Error("an answer without a Content-Length is taken for whole")
	}
}

// Whatever stands before an Onsale may send its answers in pieces, long ones, or close after one.
func TestAnyServersAnswersAreRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*wireBuffer)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/pieces":
			for _, piece := range []string{`"`, long, `"`} {
				_, _ = io.WriteString(w, piece)
				w.(http.Flusher).Flush()
			}
		case "/long":
			w.Header().Set("Content-Length", strconv.Itoa(len(long)+2))
			_, _ = io.WriteString(w, `"`+long+`"`)
		case "/closes":
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, `"short"`)
		default:
			_, _ = io.WriteString(w, `"short"`)
		}
	}))
	defer server.Close()
	var m measured
	a, err := newAPI(server.URL, &m)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for range 2 {
		for _, c := range []struct{ path, want string }{{"/pieces", long}, {"/long", long}, {"/closes", "short"}, {"/", "short"}} {
			var got string
			if err := a.send(request{method: "GET", path: c.path}, &got); err != nil || got != c.want {
				t.Errorf("%s: %.20q of %d, %v", c.path, got, len(got), err)
			}
		}
	}
	if busy := len(a.conns.slots); busy != 0 || len(a.conns.idle) != 1 {
		t.Errorf("%d connections are in use, %d wait", busy, len(a.conns.idle))
	}
}

// serveFor lets a handler serve until the test ends.
func serveFor(t *testing.T, handler fasthttp.RequestHandler) (address string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	served, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- peers.Serve(ctx, handler, func(url string) error { served <- url; return nil })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return strings.TrimPrefix(<-served, "http://")
}

func TestEveryWireAsksUntilThereIsNoMore(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	address := serveFor(t, func(ctx *fasthttp.RequestCtx) {
		asked.Add(1)
		ctx.SetBody(ctx.Request.Header.Peek("Idempotency-Key"))
	})
	l, err := dialLoad(t.Context(), address, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	left := []int{5, 5, 5}
	rate, err := l.drive(t.Context(), time.Minute, func(wire int, to []byte) ([]byte, error) {
		if left[wire] == 0 {
			return to, errNoMore
		}
		left[wire]--
		return appendRequest(to, "/x", "token", fmt.Sprint(wire), []byte("{}")), nil
	}, func(wire, status int, body []byte) error {
		if status != 200 || string(body) != fmt.Sprint(wire) {
			return fmt.Errorf("wire %d is answered %d %q", wire, status, body)
		}
		return nil
	})
	if err != nil || rate <= 0 || asked.Load() != 15 {
		t.Errorf("asked %d times at %v/s, %v; want 15 times", asked.Load(), rate, err)
	}
}

func TestAWrongAnswerEndsTheMeasurement(t *testing.T) {
	t.Parallel()
	l, err := dialLoad(t.Context(), serveFor(t, peers.Noop), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	wrongAnswer := errors.New("wrong")
	_, err = l.drive(t.Context(), time.Minute,
		func(_ int, to []byte) ([]byte, error) { return appendRequest(to, "/", "", "", nil), nil },
		func(int, int, []byte) error { return wrongAnswer })
	if !errors.Is(err, wrongAnswer) {
		t.Errorf("the error is %v", err)
	}
}

func TestCPUTimeIsReadWhateverAProgramIsCalled(t *testing.T) {
	t.Parallel()
	s, ok := parseStat("12 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 0")
	if !ok || s.pid != 12 || s.parent != 7 || s.name != "a) b (c)" || s.used != 2*time.Second {
		t.Errorf("read as %+v, %v", s, ok)
	}
	for _, bad := range []string{"", "12", "12 (a", "12 (a) S 7", "x (a) S 7 1 1 0 -1 0 0 0 0 0 150 50"} {
		if s, ok := parseStat(bad); ok {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}
