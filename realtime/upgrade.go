package realtime

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"

	"onsale"
)

const (
	// readBufferSize is what gorilla reads into; a client has little to say.
	readBufferSize = 512
	// handshakeBufferSize holds the answer to an upgrade, which is 170 bytes.
	handshakeBufferSize = 256
	// handshakeTimeout bounds the write of that answer into an empty socket buffer.
	handshakeTimeout = 5 * time.Second
	// earlyBytes is how much a client may have sent after its request: it fits in
	// the request's buffer, and no request of the protocol is longer.
	earlyBytes = maxRequestBytes
	// websocketVersion is the only one. Source: RFC 6455, section 4.1.
	websocketVersion = "13"
	// nonceBytes is the length of the decoded Sec-WebSocket-Key. Source: ibid.
	nonceBytes = 16
)

func newUpgrader() websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout: handshakeTimeout,
		ReadBufferSize:   readBufferSize,
		WriteBufferPool:  &sync.Pool{}, // gorilla writes no messages: it shall keep no buffer for them
		Subprotocols:     protocols[:],
		CheckOrigin:      func(*http.Request) bool { return true }, // checked before, by origins
	}
}

// ServeHTTP upgrades the request to a feed of the event, or returns why not,
// before anything was answered: an *onsale.Error of code bad_request (not an
// upgrade, or to none of the protocols), forbidden (a page of another origin),
// unauthenticated (a token in the header that isn't good), unknown_event, overloaded or unavailable (with RetryAfter), or what Lookup
// returned. When it returns nil the caller must leave the response alone.
//
// The fasthttp server must have KeepHijackedConns set, and should leave
// MaxConnsPerIP at 0: its wrapper hides the socket, and then each frame costs a
// goroutine that may wait. The gateway counts connections by itself.
func (g *Gateway) ServeHTTP(ctx *fasthttp.RequestCtx, event onsale.EventID) error {
	err := g.upgrade(ctx, event)
	if r := (*refusal)(nil); errors.As(err, &r) {
		g.meters.refused(r.reason)
		return r.error
	}
	return err
}

func (g *Gateway) upgrade(ctx *fasthttp.RequestCtx, event onsale.EventID) error {
	request := copyRequest(ctx)
	if err := checkHandshake(request); err != nil {
		return err
	}
	if !g.origins.allow(string(ctx.Request.Header.Peek("Origin")), string(ctx.Host())) {
		return refuse(reasonOrigin, onsale.Refuse(onsale.CodeForbidden, "pages of this origin may not open the feed: have the operator allow it"))
	}
	opening, err := g.readOpening(ctx)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	layout, err := g.cfg.Lookup(bounded, event)
	if err != nil {
		return refuse(reasonEvent, err)
	}
	opening.network = networkOf(ctx.RemoteIP())
	if err := g.gate.enter(opening.network); err != nil {
		return err
	}
	h, err := g.watch(layout)
	if err != nil {
		g.gate.leave(opening.network)
		return err
	}
	socket := ctx.Conn()
	if wrapped, ok := socket.(interface{ NetConn() net.Conn }); ok {
		socket = wrapped.NetConn()
	}
	ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols) // for whoever logs it; gorilla answers
	ctx.HijackSetNoResponse(true)
	g.upgrades.pending.Add(1)
	ctx.Hijack(func(hijacked net.Conn) { g.adopt(h, socket, hijacked, request, opening) })
	return nil
}

// opening is what a request says beside the handshake.
type opening struct {
	network netip.Addr
	since   place          // where the client stands; nowhere unless it has been here before
	buyer   onsale.BuyerID // of the token in the header; "" if there is none
}

// readOpening reads the position from the URL and the token from the header. Only
// clients that aren't browsers can send one there; those send it in a frame. Neither can be
// had from a visitor by a page of someone else's, and cookies are never looked at.
func (g *Gateway) readOpening(ctx *fasthttp.RequestCtx) (o opening, err error) {
	if since := ctx.QueryArgs(); since.Has("epoch") || since.Has("seq") {
		epoch, errEpoch := strconv.ParseUint(string(since.Peek("epoch")), 10, 64)
		seq, errSeq := strconv.ParseUint(string(since.Peek("seq")), 10, 64)
		if errEpoch != nil || errSeq != nil {
			return o, refuse(reasonHandshake, onsale.Refuse(onsale.CodeBadRequest, "epoch and seq must be those of the last frame, both"))
		}
		o.since = place{onsale.Epoch(epoch), seq}
	}
	header := string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization))
	if header == "" {
		return o, nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return o, refuse(reasonToken, onsale.Refuse(onsale.CodeUnauthenticated, "send the token as Authorization: Bearer …"))
	}
	if o.buyer, err = g.cfg.Verify(token); err != nil {
		return o, refuse(reasonToken, err)
	}
	return o, nil
}

// copyRequest copies what the handshake needs: nothing of ctx may be kept.
func copyRequest(ctx *fasthttp.RequestCtx) *http.Request {
	r := &http.Request{Method: string(ctx.Method()), Header: http.Header{}}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key", "Sec-Websocket-Protocol"} {
		for _, value := range ctx.Request.Header.PeekAll(name) {
			r.Header.Add(name, string(value))
		}
	}
	return r
}

// checkHandshake finds what gorilla would find, while it can still be answered
// like any other refusal.
func checkHandshake(r *http.Request) error {
	badRequest := func(reason reason, detail string) error {
		return refuse(reason, onsale.Refuse(onsale.CodeBadRequest, detail))
	}
	nonce, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case !websocket.IsWebSocketUpgrade(r) || r.Method != http.MethodGet:
		return badRequest(reasonHandshake, "this is a WebSocket: connect to it with a WebSocket client")
	case r.Header.Get("Sec-Websocket-Version") != websocketVersion:
		return badRequest(reasonHandshake, "the feed speaks version 13 of the WebSocket protocol")
	case err != nil || len(nonce) != nonceBytes:
		return badRequest(reasonHandshake, "Sec-WebSocket-Key must be 16 bytes in base 64")
	case !slices.ContainsFunc(websocket.Subprotocols(r), func(p string) bool { return slices.Contains(protocols[:], p) }):
		return badRequest(reasonProtocol, "ask for the subprotocol "+onsale.FeedProtocol+" or "+onsale.FeedBinary)
	}
	return nil
}

// adopt takes the socket from the HTTP server, answers the upgrade, and starts
// the connection. socket is for reading and writing; hijacked hides it behind the
// server's 4 KB reader, which is emptied and let go.
func (g *Gateway) adopt(h *hub, socket, hijacked net.Conn, request *http.Request, o opening) {
	owner := hijacked
	if kept, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		owner = kept.UnsafeConn()
	}
	defer g.upgrades.begin()()
	ws, err := g.answer(socket, hijacked, request)
	if err != nil || !g.enter() {
		owner.Close()
		g.unwatch(h)
		g.gate.leave(o.network)
		return
	}
	c := newConn(h, ws, socket, owner, o.network)
	if o.buyer != "" {
		g.audience.bind(c, o.buyer)
	}
	c.resume(o.since) // before anyone else may write, so that what leads on from there comes first
	h.roster.add(c)
	c.catchUp() // with what was published before c was there
	if !g.isRunning() {
		c.shut(restarting) // Stop may have looked before c was there
	}
	go c.serve()
}

func (g *Gateway) answer(socket, hijacked net.Conn, request *http.Request) (*websocket.Conn, error) {
	early, err := takeEarly(socket, hijacked)
	if err != nil {
		return nil, err
	}
	side := &readSide{Conn: socket, early: early}
	ws, err := g.upgrader.Upgrade(handshake{side}, request, nil)
	if err != nil {
		return nil, err
	}
	side.answered = true
	return ws, nil
}

// takeEarly returns what the HTTP server has read beyond the request. With a
// deadline in the past, reading gives what is in its buffer and then fails
// before it asks the socket for more.
func takeEarly(socket, hijacked net.Conn) ([]byte, error) {
	if err := socket.SetReadDeadline(past); err != nil {
		return nil, err
	}
	var early []byte
	var buffer [readBufferSize]byte
	for {
		n, err := hijacked.Read(buffer[:])
		early = append(early, buffer[:n]...)
		if err != nil {
			break
		}
		if len(early) > earlyBytes {
			return nil, errors.New("too much sent before the upgrade was answered")
		}
	}
	return early, socket.SetReadDeadline(time.Time{})
}

// readSide is a socket as gorilla gets it. gorilla answers the upgrade, and from
// then on only reads: everything written later goes through conn, which alone
// knows whether the socket stands at the beginning of a frame.
type readSide struct {
	net.Conn
	early    []byte // read before the socket; owned by the reader
	answered bool   // set before the reader starts
}

var errReadSide = errors.New("frames are written by the connection, not by its reader")

func (s *readSide) Read(p []byte) (int, error) {
	if len(s.early) == 0 {
		return s.Conn.Read(p)
	}
	n := copy(p, s.early)
	if s.early = s.early[n:]; len(s.early) == 0 {
		s.early = nil // let its memory go
	}
	return n, nil
}

func (s *readSide) Write(p []byte) (int, error) {
	if s.answered {
		return 0, errReadSide
	}
	return s.Conn.Write(p)
}

func (s *readSide) SetWriteDeadline(t time.Time) error {
	if s.answered {
		return errReadSide
	}
	return s.Conn.SetWriteDeadline(t)
}

// handshake is the little of an http.ResponseWriter that gorilla uses to upgrade.
type handshake struct{ side *readSide }

func (h handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	none := bufio.NewReaderSize(nil, 0) // what was read early comes from side
	return h.side, bufio.NewReadWriter(none, bufio.NewWriterSize(h.side, handshakeBufferSize)), nil
}

// gorilla writes an error only to requests that checkHandshake has refused before.
func (h handshake) Header() http.Header         { return http.Header{} }
func (h handshake) Write(p []byte) (int, error) { return len(p), nil }
func (h handshake) WriteHeader(int)             {}
