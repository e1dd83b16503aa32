package reactor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// house is a reactor with fasthttp behind it. Requests to /quick are answered on the loop with
// their body, those to /later by another goroutine, and all others by fasthttp.
type house struct {
	*Reactor
	listener net.Listener
	open     atomic.Int64
	slow     atomic.Int64 // requests that fasthttp has answered
}

func start(t *testing.T, change func(*Config)) *house {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	h := &house{}
	h.listener, err = Listen(inner.(*net.TCPListener))
	check(t, err)
	server := &fasthttp.Server{NoDefaultDate: true, ReadTimeout: patience, ConnState: between, Handler: func(ctx *fasthttp.RequestCtx) {
		h.slow.Add(1)
		ctx.SetBody(ctx.PostBody())
	}}
	cfg := Config{Serve: server.ServeConn, Quick: quick, Closed: func() { h.open.Add(-1) }, Idle: patience, First: patience, Patience: patience}
	if change != nil {
		change(&cfg)
	}
	h.Reactor, err = New(cfg)
	check(t, err)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := h.listener.Accept()
			if err != nil {
				return
			}
			h.open.Add(1)
			h.Take(c)
		}
	})
	t.Cleanup(func() {
		check(t, h.listener.Close())
		accepting.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		check(t, h.Stop(ctx))
		if n := h.open.Load(); n != 0 {
			t.Errorf("%d connections were never told to have ended", n)
		}
	})
	return h
}

func between(c net.Conn, state fasthttp.ConnState) { c.(*Conn).Between(state == fasthttp.StateIdle) }

func quick(c *Conn, q *Request) bool {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nQuick: yes\r\nContent-Length: %d\r\n\r\n%s", len(q.Body), q.Body)
	switch string(q.Path) {
	case "/quick":
		c.Reply(answer)
	case "/later":
		go c.Reply(answer)
	default:
		return false
	}
	return true
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client is one connection that asks and hears.
type client struct {
	net.Conn
	in *bufio.Reader
}

func (h *house) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", h.listener.Addr().String())
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	check(t, c.SetDeadline(time.Now().Add(patience)))
	return &client{c, bufio.NewReader(c)}
}

func (c *client) say(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	check(t, err)
}

// hears reads an answer, which must have a body, and returns whether it was a quick one.
func (c *client) hears(t *testing.T, want string) (quick bool) {
	t.Helper()
	response, err := http.ReadResponse(c.in, nil)
	check(t, err)
	body, err := io.ReadAll(response.Body)
	check(t, errors.Join(err, response.Body.Close()))
	if string(body) != want {
		t.Fatalf("heard %.100q; want %.100q", body, want)
	}
	return response.Header.Get("Quick") == "yes"
}

func (c *client) hear(t *testing.T, want string, quick bool) {
	t.Helper()
	if got := c.hears(t, want); got != quick {
		t.Fatalf("answered quickly: %v, want %v", got, quick)
	}
}

func asking(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func TestAConnectionGoesFromHandToHand(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	var crowd sync.WaitGroup
	for n := range 32 {
		c := h.dial(t)
		crowd.Go(func() {
			for i := range 100 {
				path := []string{"/quick", "/later", "/slow"}[(n+i)%3]
				body := fmt.Sprint(n, i)
				c.say(t, asking(path, body))
				c.hears(t, body)
			}
		})
	}
	crowd.Wait()
}

// TestNobodyGetsAnothersAnswer has clients leave at any moment, so that descriptors are used again.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	var crowd sync.WaitGroup
	for n := range 16 {
		crowd.Go(func() {
			for i := range 60 {
				c := h.dial(t)
				for j := range i % 5 {
					path := []string{"/quick", "/later", "/slow"}[(n+i+j)%3]
					body := fmt.Sprint(n, i, j)
					text := asking(path, body)
					c.say(t, text[:len(text)/(1+j%2)])
					if j%2 == 1 {
						if i%7 == 0 {
							break // in the middle of a request
						}
						c.say(t, text[len(text)/2:])
					}
					if i%3 == 0 && j == 3 {
						break // before its answer
					}
					c.hears(t, body)
				}
				_ = c.Close()
			}
		})
	}
	crowd.Wait()
	eventually(t, "all have ended", func() bool { return h.open.Load() == 0 })
}

func TestRequestsThatComeInPiecesOrTogetherAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	c := h.dial(t)
	text := asking("/quick", "one") + asking("/slow", "two") + asking("/later", "three")
	c.say(t, text)
	for _, body := range []string{"one", "two", "three"} {
		c.hear(t, body, false) // together they are no quick request
	}
	for i := range len(text) {
		c.say(t, text[i:i+1])
	}
	for _, body := range []string{"one", "two", "three"} {
		c.hears(t, body)
	}
	eventually(t, "it waits again", func() bool { return h.has(loops) == 1 })
	c.say(t, asking("/quick", "again"))
	c.hear(t, "again", true)
}

func TestWhatIsAskedWhileAnAnswerIsAwaitedIsAnsweredAfterIt(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := start(t, func(cfg *Config) {
		cfg.Quick = func(c *Conn, q *Request) bool {
			answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nQuick: yes\r\nContent-Length: %d\r\n\r\n%s", len(q.Body), q.Body)
			go func() { <-release; c.Reply(answer) }()
			return true
		}
	})
	c := h.dial(t)
	c.say(t, asking("/quick", "first"))
	eventually(t, "the first is under way", func() bool { return h.has(quicks) == 1 })
	c.say(t, asking("/quick", "second"))
	close(release)
	c.hear(t, "first", true)
	c.hear(t, "second", true)
}

func TestALongBodyAndAnExpectationAreServed(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	c := h.dial(t)
	long := strings.Repeat("x", 3*readSize)
	c.say(t, asking("/quick", long))
	c.hear(t, long, false)
	c.say(t, "POST /slow HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	response, err := http.ReadResponse(c.in, nil)
	check(t, err)
	if response.StatusCode != 100 {
		t.Fatal(response.Status)
	}
	c.say(t, "ok")
	c.hear(t, "ok", false)
}

func TestAClientThatEndsItsSideIsAnsweredAndLeftAlone(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for _, path := range []string{"/quick", "/later", "/slow"} {
		c := h.dial(t)
		c.say(t, asking(path, "last"))
		check(t, c.Conn.(*net.TCPConn).CloseWrite())
		c.hear(t, "last", path != "/slow")
		if n, err := c.in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the answer comes %d bytes, %v", path, n, err)
		}
	}
	eventually(t, "all have ended", func() bool { return h.open.Load() == 0 })
}

func TestAClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	huge := bytes.Repeat([]byte("x"), 16<<20)
	h := start(t, func(cfg *Config) {
		cfg.Patience = 3 * time.Second
		cfg.Quick = func(c *Conn, q *Request) bool {
			if string(q.Path) == "/quick" {
				return quick(c, q)
			}
			c.Reply(append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(huge)), huge...))
			return true
		}
	})
	deaf, reading := h.dial(t), h.dial(t)
	deaf.say(t, asking("/huge", ""))
	reading.say(t, asking("/huge", ""))
	reading.hear(t, string(huge), false)
	reading.say(t, asking("/quick", "next"))
	reading.hear(t, "next", true)
	eventually(t, "the one that doesn't read is gone", func() bool { return h.open.Load() == 1 })
}

func TestConnectionsThatWaitTooLongEnd(t *testing.T) {
	t.Parallel()
	h := start(t, func(cfg *Config) { cfg.Idle, cfg.First = 10*time.Millisecond, 20*time.Millisecond })
	silent, spoken := h.dial(t), h.dial(t)
	spoken.say(t, asking("/quick", "hello"))
	spoken.hear(t, "hello", true)
	for _, c := range []*client{silent, spoken} {
		if n, err := c.in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

func TestStoppingEndsWhatWaitsAndLetsTheRestFinish(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := start(t, func(cfg *Config) {
		cfg.Quick = func(c *Conn, q *Request) bool {
			go func() { <-release; c.Reply([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) }()
			return true
		}
	})
	idle, busy := h.dial(t), h.dial(t)
	busy.say(t, asking("/quick", ""))
	eventually(t, "it is under way", func() bool { return h.has(quicks) == 1 && h.has(loops) == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop(context.Background()) }()
	if n, err := idle.in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the idle one reads %d bytes, %v", n, err)
	}
	close(release)
	busy.hear(t, "", false)
	check(t, <-stopped)
}

func TestStoppingByForceSaysWhoWouldNotEnd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := start(t, func(cfg *Config) {
		cfg.Quick = func(c *Conn, _ *Request) bool {
			go func() { <-release; c.Reply(nil) }()
			return true
		}
	})
	c := h.dial(t)
	c.say(t, asking("/quick", ""))
	eventually(t, "it is under way", func() bool { return h.has(quicks) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Stop(ctx); err == nil || !strings.Contains(err.Error(), "1 connections are still in use") {
		t.Error(err)
	}
	close(release)
}

func TestAConnectionThatIsTakenOverIsNoLongerTheReactors(t *testing.T) {
	t.Parallel()
	over := make(chan *Conn, 1)
	h := start(t, func(cfg *Config) {
		server := &fasthttp.Server{KeepHijackedConns: true, Handler: func(ctx *fasthttp.RequestCtx) {
			socket := ctx.Conn().(*Conn)
			socket.Keep()
			ctx.HijackSetNoResponse(true)
			ctx.Hijack(func(net.Conn) { over <- socket })
		}}
		cfg.Serve = server.ServeConn
	})
	c := h.dial(t)
	c.say(t, asking("/slow", ""))
	taken := <-over
	fd, err := taken.Detach()
	check(t, err)
	eventually(t, "it is told of", func() bool { return h.open.Load() == 0 })
	if _, err := taken.Detach(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it is given away twice: %v", err)
	}
	check(t, taken.Close()) // which closes nothing
	_, err = write(fd, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	check(t, err)
	c.hear(t, "hi", false)
	check(t, unix.Close(fd))
}

// has returns how many connections a hand has.
func (r *Reactor) has(whose hand) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.mu.Lock()
		if c.hand == whose {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}
