package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"onsale"
)

// flawed is a listener whose first accepts fail.
type flawed struct {
	net.Listener
	failures atomic.Int64
	err      error
}

func newFlawed(failures int64, err error) *flawed {
	f := &flawed{Listener: must(net.Listen("tcp", "127.0.0.1:0")), err: err}
	f.failures.Store(failures)
	return f
}

func (f *flawed) Accept() (net.Conn, error) {
	if f.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: f.err}
	}
	return f.Listener.Accept()
}

func TestServingGoesOnAfterDescriptorsRanOut(t *testing.T) {
	t.Parallel()
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED} {
		e := newEdge(t, Config{}).startOn(t, newFlawed(3, passing))
		if response, _ := e.ask(t, "GET", "/livez", ""); response.StatusCode != 200 {
			t.Errorf("after %v: %d", passing, response.StatusCode)
		}
		if n := strings.Count(e.log.String(), passing.Error()); n != 1 {
			t.Errorf("%v is logged %d times:\n%s", passing, n, e.log)
		}
	}
}

func TestAServerThatEndsByItselfSaysSo(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}).startOn(t, newFlawed(1, errors.New("the network is gone")))
	select {
	case err := <-e.Exited():
		if !strings.Contains(err.Error(), "the network is gone") {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it is not told")
	}
}

func TestAStoppedServerHasNotEndedByItself(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{}).startOn(t, newFlawed(1<<40, syscall.EMFILE)) // stopped in a pause, too
	check(t, e.Stop(t.Context()))
	select {
	case err := <-e.Exited():
		t.Error(err)
	default:
	}
}

func TestConnectionsBeyondTheLimitAreClosedAndRoomIsGivenAgain(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{MaxConns: 2}).start(t)
	first, second := e.say(t, ""), e.say(t, "")
	eventually(t, "two are open", func() bool { return e.metric("onsale_http_connections_open") == "2" })
	if response, _ := hear(t, e.say(t, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), "GET"); response != nil {
		t.Errorf("a third is answered %d", response.StatusCode)
	}
	if n := e.metric("onsale_http_connections_refused_total"); n != "1" {
		t.Errorf("refused: %s", n)
	}
	check(t, errors.Join(first.Close(), second.Close()))
	eventually(t, "there is room again", func() bool { return e.metric("onsale_http_connections_open") == "0" })
	if response, _ := e.ask(t, "GET", "/livez", ""); response.StatusCode != 200 {
		t.Error(response.StatusCode)
	}
}

func TestStoppingEndsARequestThatWouldWait(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	e := newEdge(t, Config{}, route{"GET", "/v1/wait", anyone, 0, func(r *request) error {
		close(begun)
		<-r.context().Done()
		return onsale.Busy(onsale.CodeUnavailable, "stopping", time.Second, r.context().Err())
	}}).start(t)
	c := e.say(t, "GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), onsale.StopTimeout)
	defer cancel()
	start := time.Now()
	check(t, e.Stop(ctx))
	if took := time.Since(start); took > drainTime+2*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if response, _ := hear(t, c, "GET"); response == nil || response.StatusCode != 503 {
		t.Errorf("the waiting request is answered %+v", response)
	}
}

func TestStoppingLetsARequestEndByItself(t *testing.T) {
	t.Parallel()
	begun, stopping := make(chan struct{}), make(chan struct{})
	e := newEdge(t, Config{}, route{"POST", "/v1/buy", anyone, 0, func(r *request) error {
		close(begun)
		<-stopping
		if err := r.context().Err(); err != nil {
			return err
		}
		return r.noContent()
	}}).start(t)
	c := e.say(t, "POST /v1/buy HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(context.Background()) }()
	eventually(t, "nothing is accepted any more", func() bool {
		probe, err := net.Dial("tcp", e.listener.Addr().String())
		if err == nil {
			_ = probe.Close()
		}
		return err != nil
	})
	close(stopping)
	if response, _ := hear(t, c, "POST"); response == nil || response.StatusCode != 204 {
		t.Errorf("answered %+v", response)
	}
	check(t, <-stopped)
}

func TestConnectionThatSaysNothingIsClosedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	inner, client := net.Pipe()
	silent := &conn{Conn: inner}
	defer client.Close()
	var ctx fasthttp.RequestCtx
	ctx.Init2(silent, quietLogger{}, false)
	s := NewServer(Config{Metrics: metrics.NewSet(), Log: slog.New(slog.DiscardHandler)})
	s.refuseUnreadable(&ctx, errors.New("i/o timeout"))
	if n, err := client.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %d bytes, %v; want the end", n, err)
	}
	if body := ctx.Response.Body(); len(body) > 0 {
		t.Errorf("answered %q", body)
	}
}
