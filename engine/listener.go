package engine

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"onsale/internal/reactor"
)

// The pause after an accept that failed: at first, and at the most.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// listener accepts the server's connections. fasthttp takes every error of an
// accept for the last one and stops serving; but a process that is out of
// descriptors has some again in a moment. So the listener waits and tries again,
// and sees to it that it doesn't come to that: it closes at once what comes when
// its connections are as many as they may be. Answering would cost more than
// being asked.
type listener struct {
	net.Listener
	most    int64
	open    atomic.Int64 // connections, those that became feeds not counted
	refused *metrics.Counter
	log     *slog.Logger

	closing sync.Once
	closed  chan struct{} // ends a pause
}

func newListener(inner net.Listener, cfg Config) *listener {
	l := &listener{Listener: inner, most: int64(cfg.MaxConns), log: cfg.Log, closed: make(chan struct{}),
		refused: cfg.Metrics.GetOrCreateCounter("onsale_http_connections_refused_total")}
	cfg.Metrics.GetOrCreateGauge("onsale_http_connections_open", func() float64 { return float64(l.open.Load()) })
	return l
}

// Accept returns the next connection that there is room for. Whoever got it must
// tell of its end by changed.
func (l *listener) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil && l.open.Add(1) <= l.most:
			if looped, ok := c.(*reactor.Conn); ok {
				return looped, nil
			}
			return &conn{Conn: c}, nil
		case err == nil:
			l.open.Add(-1)
			l.refused.Inc()
			_ = c.Close() // nothing was said
		case !passes(err):
			return nil, err
		default:
			if pause == 0 {
				l.log.Warn("no connection can be taken for the moment; it is tried again", "error", err)
			}
			pause = min(max(2*pause, acceptPause), acceptPauseMax)
			select {
			case <-time.After(pause):
			case <-l.closed:
				return nil, net.ErrClosed
			}
		}
	}
}

// passes reports whether an error of accept goes away by itself.
func passes(err error) bool {
	for _, passing := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EAGAIN, syscall.EPROTO} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// Close implements net.Listener; twice is fine.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
	})
	return err
}

// changed is told what became of a connection. Each ends once: closed, or taken
// over by the feed, which bounds its own.
func (l *listener) changed(c net.Conn, state fasthttp.ConnState) {
	if looped, ok := c.(*reactor.Conn); ok { // its end is told by the reactor
		looped.Between(state == fasthttp.StateIdle)
		return
	}
	if state == fasthttp.StateClosed || state == fasthttp.StateHijacked {
		l.open.Add(-1)
	}
}

// left is told that the reactor has a connection no longer.
func (l *listener) left() { l.open.Add(-1) }

// conn is a connection that notes whether its client has ever said anything: browsers
// open some in advance, and one that is not used in time deserves no answer.
type conn struct {
	net.Conn
	spoken bool // the serving goroutine's
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (n int, err error) {
	if n, err = c.Conn.Read(b); n > 0 {
		c.spoken = true
	}
	return n, err
}

// NetConn is the connection itself, for the feed, which takes it over.
func (c *conn) NetConn() net.Conn { return c.Conn }
