package realtime

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
)

const (
	// maxRequestBytes is the longest frame a client may send: a token and a little more.
	maxRequestBytes = 4 << 10
	// maxRequestsPerSecond bounds what a client may ask for: an answer to a resume
	// may be 200 KB.
	maxRequestsPerSecond = 20
	// lastWords is how much a client that broke the protocol may still send before its close.
	lastWords = 64 << 10
)

// past is a deadline that ends whatever waits.
var past = time.Unix(1, 0)

// conn is one client's connection.
//
// 150,000 of them must fit on a small machine, so what an idle one costs is what
// matters: one goroutine, which reads, gorilla's 512-byte buffer, and this
// struct. There is no goroutine that writes, no queue and no timer. What the
// client is owed of the stock is a position in its hub's backlog; what it is
// owed in person is a short list, empty nearly always. Whoever has news (the
// hub's pass, the heartbeat, the reader, an order) writes it at once under mu,
// as far as the socket takes it. Only when a socket is full does the connection
// get a second goroutine, its drain, which waits for it. Until that is done
// nobody else writes, the position stays where it is, and when the client reads
// again it gets what is newest. So a slow client costs its socket's buffer and
// one goroutine, and delays nobody.
type conn struct {
	hub     *hub
	ws      *websocket.Conn // for the reader alone
	socket  net.Conn        // where frames are written
	raw     syscall.RawConn // socket's; nil if it can't be written to without waiting
	owner   net.Conn        // closes socket, exactly once; may be the same
	network netip.Addr
	place   int // in the hub's roster, set by it
	form    encoding

	buyer    onsale.BuyerID // owned by the reader; "" before auth
	second   int64          // owned by the reader: the Unix second that requests counts
	requests int            // owned by the reader

	mu       sync.Mutex
	position uint64   // under mu: see backlog
	owed     []*frame // under mu: in person, at most maxOwed
	closing  *frame   // under mu: the last frame there will be; nil while the feed goes on
	closed   bool     // under mu: closing is written or on its way
	draining bool     // under mu: drain alone writes
	ended    bool     // under mu: the reader has left; nothing may be begun
}

// newConn returns a connection that is owed its hello, whoever writes first.
func newConn(h *hub, ws *websocket.Conn, socket, owner net.Conn, network netip.Addr) *conn {
	c := &conn{hub: h, ws: ws, socket: socket, raw: rawConn(socket), owner: owner, network: network}
	if ws.Subprotocol() == onsale.FeedBinary {
		c.form = asBinary
	}
	c.owed = []*frame{hello(h.gateway.cfg.Heartbeat, h.epoch())}
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(h.gateway.cfg.SocketBuffer) // a kernel that refuses keeps more; that is all
	}
	ws.SetReadLimit(maxRequestBytes)
	ws.SetPingHandler(func(payload string) error {
		c.owe(pongFrame(payload))
		return c.asked()
	})
	ws.SetPongHandler(func(string) error { return c.heard() })
	ws.SetCloseHandler(func(int, string) error {
		c.echoClose()
		return nil
	})
	return c
}

func hello(heartbeat time.Duration, epoch onsale.Epoch) *frame {
	return textFrame(kindHello, onsale.FeedHello{
		Type: onsale.FrameHello, ServerTime: time.Now().UTC(), HeartbeatMs: heartbeat.Milliseconds(), Epoch: epoch,
	})
}

// serve reads until the client is gone.
func (c *conn) serve() {
	g := c.hub.gateway
	defer g.conns.Done()
	defer c.leave()
	err := c.heard()
	for err == nil {
		var kind int
		var data []byte
		if kind, data, err = c.ws.ReadMessage(); err == nil {
			err = c.asked()
		}
		if err == nil {
			c.take(kind, data)
		}
	}
	c.readFailed(err)
}

// heard is called for each frame that comes in: the client is alive.
func (c *conn) heard() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return nil // the deadline of its close stands
	}
	return c.socket.SetReadDeadline(time.Now().Add(c.hub.gateway.cfg.peerTimeout()))
}

// asked is heard, for a frame that wants an answer. It returns an error if the
// client wants too many.
func (c *conn) asked() error {
	if second := time.Now().Unix(); c.second != second {
		c.second, c.requests = second, 0
	}
	if c.requests++; c.requests > maxRequestsPerSecond {
		return errTooManyRequests
	}
	return c.heard()
}

var errTooManyRequests = errors.New("too many frames in a second")

// take does what the client asks.
func (c *conn) take(kind int, data []byte) {
	var request onsale.FeedRequest
	if kind != websocket.TextMessage || json.Unmarshal(data, &request) != nil {
		c.shut(badFrame("send JSON in text frames"))
		return
	}
	g := c.hub.gateway
	switch request.Type {
	case onsale.FrameAuth:
		buyer, err := g.cfg.Verify(request.Token)
		if err != nil {
			c.shut(signInAnew)
			return
		}
		g.audience.bind(c, buyer)
	case onsale.FrameHold:
		if c.buyer == "" {
			c.shut(goodbye{code: onsale.CloseUnauthenticated, reason: "sign in before you name a hold"})
			return
		}
		g.vigil.follow(c.buyer, request.Hold)
	case onsale.FrameResume:
		c.resume(place{request.Epoch, request.Seq})
	default:
		c.shut(badFrame("the types are auth, hold and resume"))
	}
}

// readFailed ends the connection as the client deserves.
func (c *conn) readFailed(err error) {
	var closed *websocket.CloseError
	var network net.Error
	if errors.As(err, &closed) || errors.As(err, &network) {
		return // it said goodbye, or is gone
	}
	c.shut(badFrame("not a frame of the protocol"))
	// Closing a socket with something unread in it makes TCP throw away what was
	// written, the close frame too.
	_, _ = io.CopyN(io.Discard, c.socket, lastWords)
}

// leave ends everything that knows the connection. The last to use the socket
// closes it: here, or in the drain that is under way.
func (c *conn) leave() {
	g := c.hub.gateway
	g.audience.unbind(c)
	c.hub.roster.remove(c)
	g.unwatch(c.hub)
	g.gate.leave(c.network)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.owed = nil
	if c.draining {
		_ = c.socket.SetWriteDeadline(past) // or it was closed by the peer already
		return
	}
	_ = c.owner.Close() // there is nobody left to tell
}

// cut ends the connection without a word.
func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutLocked()
}

func (c *conn) cutLocked() {
	if c.ended {
		return
	}
	c.closed = true
	if c.closing == nil {
		c.closing = closeFrame(websocket.CloseAbnormalClosure, "")
	}
	_ = c.socket.SetDeadline(past) // the reader and the drain end; the reader does the rest
}
