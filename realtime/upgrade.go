package realtime

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/internal/reactor"
)

// earlyBytes is how much a client may have sent after its request: it fits in
// the request's buffer, and no request of the protocol is longer.
const earlyBytes = maxRequestBytes

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
	shake, err := readHandshake(copyRequest(ctx))
	if err != nil {
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
	opening.remote = remoteOf(ctx)
	if err := g.gate.enter(networkOf(opening.remote.Addr())); err != nil {
		return err
	}
	h, err := g.follow(layout)
	if err != nil {
		g.gate.leave(networkOf(opening.remote.Addr()))
		return err
	}
	socket := ctx.Conn()
	if wrapped, ok := socket.(interface{ NetConn() net.Conn }); ok {
		socket = wrapped.NetConn()
	}
	if looped, ok := socket.(*reactor.Conn); ok {
		looped.Keep()
	}
	ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols) // for whoever logs it; adopt answers
	ctx.HijackSetNoResponse(true)
	g.upgrades.pending.Add(1)
	ctx.Hijack(func(hijacked net.Conn) { g.adopt(h, socket, hijacked, shake, opening) })
	return nil
}

// opening is what a request says beside the handshake.
type opening struct {
	remote netip.AddrPort
	since  place          // where the client stands; nowhere unless it has been here before
	buyer  onsale.BuyerID // of the token in the header; "" if there is none
}

// remoteOf is the client's address; the zero address if it isn't an IP's.
func remoteOf(ctx *fasthttp.RequestCtx) netip.AddrPort {
	if tcp, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
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

// adopt takes the socket from the HTTP server, answers the upgrade, and begins
// the connection. socket is for reading and writing; hijacked hides it behind the
// server's 4 KB reader, which is emptied and let go.
func (g *Gateway) adopt(h *hub, socket, hijacked net.Conn, shake handshake, o opening) {
	owner := hijacked
	if kept, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		owner = kept.UnsafeConn()
	}
	defer g.upgrades.begin()()
	c, early, err := g.welcome(h, socket, hijacked, owner, shake, o)
	if err != nil {
		owner.Close()
		g.unwatch(h)
		g.gate.leave(networkOf(o.remote.Addr()))
		return
	}
	c.resume(o.since) // before anyone else may write, so that what leads on from there comes first
	if o.buyer != "" {
		g.audience.bind(c, o.buyer)
	}
	h.roster.add(c)
	c.catchUp() // with what was published before c was there
	if !g.isRunning() {
		c.shut(restarting) // Stop may have looked before c was there
	}
	if c.line.begin(early) != nil {
		c.leave() // nobody reads it
	}
}

// welcome answers the upgrade and makes the socket a connection that counts. After an error it doesn't, and
// the socket is the caller's to close.
func (g *Gateway) welcome(h *hub, socket, hijacked, owner net.Conn, shake handshake, o opening) (c *conn, early []byte, err error) {
	if !g.enter() {
		return nil, nil, errStopping
	}
	if early, err = takeEarly(socket, hijacked); err == nil {
		err = shake.answer(socket)
	}
	if err == nil {
		c = newConn(h, o.remote, shake.form)
		c.line, err = g.lineTo(c, socket, owner)
	}
	if err != nil {
		g.conns.Done()
	}
	return c, early, err
}

var errStopping = errors.New("the gateway is stopping")

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
