package realtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/internal/feedclient"
	"onsale/internal/reactor"
)

// stage is a gateway behind a real server, with the houses it shows.
type stage struct {
	*street
	gateway *Gateway
	address string
}

// serve starts a gateway for the houses on loopback. change may be nil.
func serve(t testing.TB, change func(*Config, *fasthttp.Server), houses ...*house) *stage {
	t.Helper()
	s := &stage{street: &street{houses: map[onsale.EventID]*house{}}}
	for _, h := range houses {
		s.add(h)
	}
	cfg := Config{Source: s, Lookup: s.lookup, Verify: verify, Tick: 2 * time.Millisecond}
	server := &fasthttp.Server{
		KeepHijackedConns:     true,
		MaxIdleWorkerDuration: 20 * time.Millisecond, // its cleaner sleeps that long before it sees that it is to end
	}
	if change != nil {
		change(&cfg, server)
	}
	gateway, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway = gateway
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		event := onsale.EventID(strings.TrimPrefix(string(ctx.Path()), "/live/"))
		if err := gateway.ServeHTTP(ctx, event); err != nil {
			ctx.Response.Header.Set("Code", string(onsale.CodeOf(err)))
			var refusal *onsale.Error
			if errors.As(err, &refusal) {
				ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(refusal.RetryAfter/time.Second)))
			}
			ctx.SetStatusCode(fasthttp.StatusTeapot)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	if err := gateway.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := serveOn(t, server, listener.(*net.TCPListener))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := gateway.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		end(ctx)
	})
	return s
}

// threaded is the name of a server that doesn't serve on an event loop.
const threadedServer = "threaded"

// serveOn serves as the engine does, where the system can, unless the server is to hide its sockets or to be
// threaded.
func serveOn(t testing.TB, server *fasthttp.Server, inner *net.TCPListener) (end func(context.Context)) {
	t.Helper()
	var serving sync.WaitGroup
	if server.MaxConnsPerIP == 0 && server.Name != threadedServer {
		if listener, err := reactor.Listen(inner); err == nil {
			return serveLooped(t, server, listener)
		}
	}
	serving.Go(func() {
		if err := server.Serve(inner); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return func(ctx context.Context) {
		if err := server.ShutdownWithContext(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		serving.Wait()
	}
}

func serveLooped(t testing.TB, server *fasthttp.Server, listener net.Listener) (end func(context.Context)) {
	t.Helper()
	server.ConnState = func(c net.Conn, state fasthttp.ConnState) { c.(*reactor.Conn).Between(state == fasthttp.StateIdle) }
	loop, err := reactor.New(reactor.Config{Serve: server.ServeConn, Idle: patience, First: patience, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			loop.Take(c)
		}
	})
	return func(ctx context.Context) {
		if err := errors.Join(listener.Close(), loop.Stop(ctx)); err != nil {
			t.Errorf("shut down: %v", err)
		}
		accepting.Wait()
	}
}

// verify takes "token of BUYER".
func verify(token string) (onsale.BuyerID, error) {
	buyer, ok := strings.CutPrefix(token, "token of ")
	if !ok {
		return "", onsale.Refuse(onsale.CodeUnauthenticated, "sign in")
	}
	return onsale.BuyerID(buyer), nil
}

// count is what the gateway has counted under the metric's name.
func (s *stage) count(name string) int {
	return int(s.gateway.cfg.Metrics.GetOrCreateCounter(name).Get())
}

// browser is a client that follows the rules, and can be made to be slow.
type browser struct {
	ws    *websocket.Conn
	house *house
	done  chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	resume *sync.Cond // on mu: paused has changed
	paused bool       // under mu: it doesn't read
	deaf   bool       // under mu: it will lose the next delta, as no server would
	lost   bool       // under mu: it has lost one, and hasn't been led on since
	eager  bool       // under mu: it has asked to resume without need, so what leads on may overlap with what was on its way
	asked  place      // under mu: where it last asked to be led on from; a snapshot may come before the answer
	fold   feedclient.Fold
	frames map[string]int     // under mu: by type
	orders []onsale.FeedOrder // under mu
	holds  []onsale.FeedHold  // under mu
	queue  []onsale.FeedQueue // under mu
	bye    *onsale.FeedBye    // under mu
	breach error              // under mu: the first thing the server did wrong
	closed int                // under mu: the close code
}

// dial opens a feed with a small receive buffer.
func (s *stage) dial(event onsale.EventID) (*websocket.Conn, error) {
	return s.dialAs(onsale.FeedProtocol, string(event), nil)
}

// dialAs opens a feed in a protocol: of an event, and with a query, as "show?epoch=1&seq=7".
func (s *stage) dialAs(protocol, event string, header http.Header) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		Subprotocols: []string{protocol},
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if tcp, ok := c.(*net.TCPConn); ok {
				err = errors.Join(err, tcp.SetReadBuffer(4<<10))
			}
			return c, err
		},
	}
	ws, response, err := dialer.Dial("ws://"+s.address+"/live/"+event, header)
	if err != nil && response != nil {
		return nil, &onsale.Error{Code: onsale.Code(response.Header.Get("Code")), Detail: err.Error(),
			RetryAfter: time.Duration(atoi(response.Header.Get("Retry-After"))) * time.Second}
	}
	return ws, err
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// open opens a feed and reads it until the test ends.
func (s *stage) open(t testing.TB, h *house) *browser {
	t.Helper()
	ws, err := s.dial(h.layout.Event.ID)
	if err != nil {
		t.Fatal(err)
	}
	return follow(t, ws, h, feedclient.Fold{})
}

// openAs opens a feed in a protocol, with a header.
func (s *stage) openAs(t testing.TB, h *house, protocol string, header http.Header) *browser {
	t.Helper()
	ws, err := s.dialAs(protocol, string(h.layout.Event.ID), header)
	if err != nil {
		t.Fatal(err)
	}
	return follow(t, ws, h, feedclient.Fold{})
}

// comeBack opens a feed where another browser that has left stood.
func (s *stage) comeBack(t testing.TB, b *browser) *browser {
	t.Helper()
	event := string(b.house.layout.Event.ID)
	if view := b.fold.View(); b.fold.Current() {
		event += fmt.Sprintf("?epoch=%d&seq=%d", view.Epoch, view.Seq)
	}
	ws, err := s.dialAs(b.ws.Subprotocol(), event, nil)
	if err != nil {
		t.Fatal(err)
	}
	return follow(t, ws, b.house, b.fold)
}

func follow(t testing.TB, ws *websocket.Conn, h *house, fold feedclient.Fold) *browser {
	b := &browser{ws: ws, house: h, done: make(chan struct{}), fold: fold, frames: map[string]int{}}
	b.resume = sync.NewCond(&b.mu)
	go b.read()
	t.Cleanup(b.leave)
	return b
}

func (b *browser) leave() {
	b.pause(false)
	b.ws.Close()
	<-b.done
}

func (b *browser) pause(paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = paused
	b.resume.Broadcast()
}

func (b *browser) read() {
	defer close(b.done)
	for {
		b.mu.Lock()
		for b.paused {
			b.resume.Wait()
		}
		b.mu.Unlock()
		kind, data, err := b.ws.ReadMessage()
		b.mu.Lock()
		if err != nil {
			if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
				b.closed = closed.Code
			}
			b.mu.Unlock()
			return
		}
		if err := b.take(kind, data); err != nil && b.breach == nil {
			b.breach = err
		}
		b.mu.Unlock()
	}
}

// take folds a frame. On one connection there is never a gap nor a repetition,
// unless the browser lost something itself.
func (b *browser) take(kind int, data []byte) error {
	f, err := b.parse(kind, data)
	if err != nil {
		return err
	}
	b.frames[f.Type]++
	if f.Type == onsale.FrameHello && (b.frames[f.Type] > 1 || len(b.frames) > 1) {
		return errors.New("hello isn't the first frame")
	}
	switch f.Type {
	case onsale.FrameOrder:
		b.orders = append(b.orders, *f.Order)
	case onsale.FrameHold:
		b.holds = append(b.holds, *f.Hold)
	case onsale.FrameQueue:
		b.queue = append(b.queue, *f.Queue)
	case onsale.FrameBye:
		b.bye = f.Bye
	}
	step, view := f.Step(), b.fold.View()
	switch {
	case step == nil:
	case view == nil:
		return errors.New("a delta before the snapshot")
	case b.deaf && step.Seq > step.From: // of the others nothing would tell it
		b.deaf, b.lost = false, true
		return nil
	case !b.lost && !b.eager && b.asked != (place{step.Epoch, step.From}) && (step.Epoch != view.Epoch || step.From != view.Seq):
		return fmt.Errorf("a step of epoch %d from %d to %d, but the client is at %d, %d", step.Epoch, step.From, step.Seq, view.Epoch, view.Seq)
	}
	gap, err := b.fold.Apply(f)
	if err != nil {
		return err
	}
	if gap {
		request := b.fold.Resume()
		b.asked = place{request.Epoch, request.Seq}
		return b.ws.WriteJSON(request)
	}
	if b.fold.View() == view || !b.fold.Current() {
		return nil
	}
	b.lost = false
	return errors.Join(feedclient.Check(b.fold.View()), b.house.wasTrue(b.fold.View()))
}

// parse reads a frame, and holds it to the protocol of the connection.
func (b *browser) parse(kind int, data []byte) (*feedclient.Frame, error) {
	if kind == websocket.TextMessage {
		f, err := feedclient.Parse(data)
		if err == nil && b.ws.Subprotocol() == onsale.FeedBinary && (f.Snapshot != nil || f.Step() != nil) {
			err = fmt.Errorf("a %s as text", f.Type)
		}
		return f, err
	}
	if b.ws.Subprotocol() != onsale.FeedBinary {
		return nil, errors.New("a binary frame to who asked for text")
	}
	var sections []string
	for _, section := range b.house.layout.Sections() {
		sections = append(sections, section.ID)
	}
	return feedclient.ParseBinary(data, sections)
}

// sees returns an error unless the browser shows exactly what is true now, and
// has never been shown anything else than what was true then.
func (b *browser) sees() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.breach, feedclient.Differ(b.fold.View(), b.house.view()))
}

// finds reports whether the browser needs another delta to find out what it lost.
func (b *browser) finds() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deaf || b.lost
}

func (b *browser) got(frame string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.frames[frame]
}

// closedWith returns an error unless the server has closed the feed with the code.
func (b *browser) closedWith(code int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != code {
		return fmt.Errorf("closed with %d, want %d", b.closed, code)
	}
	return b.breach
}

func (b *browser) send(t testing.TB, request onsale.FeedRequest) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ws.WriteJSON(request); err != nil {
		t.Fatal(err)
	}
}
