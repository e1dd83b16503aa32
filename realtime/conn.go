package realtime

import (
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

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

// conn is one client's connection.
//
// 150,000 of them must fit on a small machine, so what an idle one costs is what
// matters: this struct and its line, a few hundred bytes. There is no goroutine (where
// the line has none), no buffer, no queue and no timer. What the
// client is owed of the stock is a position in its hub's backlog; what it is
// owed in person is a short list, empty nearly always. Whoever has news (the
// hub's pass, the heartbeat, the reader, an order) writes it at once under mu,
// as far as the line takes it. Only when that is full does the connection
// drain: until the rest of the frame is written nobody else writes, the position stays where it
// is, and when the client reads again it gets what is newest. So a slow client costs its socket's buffer,
// and delays nobody.
//
// It ends in one way: whatever is wrong, its reader finds the line ended, or is told so by a cut, and
// leaves.
type conn struct {
	hub    *hub
	line   line
	remote netip.AddrPort
	place  int // in the hub's roster, set by it
	form   encoding

	// Of the line's reader.
	buyer    onsale.BuyerID // "" before auth
	second   int64          // the Unix second that requests counts
	requests int
	inbox    inbox
	broken   bool // it broke the protocol: nothing more is heard
	noise    int  // bytes that came since

	mu       sync.Mutex
	position uint64        // under mu: see backlog
	owed     []*frame      // under mu: in person, at most maxOwed
	heard    time.Duration // under mu: when the client last gave a sign of life, by the gateway's clock
	by       time.Duration // under mu: while draining or closing, until when the client has time
	closing  *frame        // under mu: the last frame there will be; nil while the feed goes on
	closed   bool          // under mu: closing is written or on its way
	draining bool          // under mu: the line alone writes
	ended    bool          // under mu: the reader has left; nothing may be begun
	noted    bool          // under mu: lateness has it
	pinged   bool          // under mu: it was asked whether it is there, and hasn't answered
	told     time.Duration // under mu: when it was last written something that isn't a ping, by the gateway's clock
}

// newConn returns a connection that is owed its hello, whoever writes first. Its line is yet to be set.
func newConn(h *hub, remote netip.AddrPort, form encoding) *conn {
	return &conn{hub: h, remote: remote, form: form, heard: h.gateway.clock(), owed: []*frame{hello(h.gateway.cfg.Heartbeat, h.epoch())}}
}

func hello(heartbeat time.Duration, epoch onsale.Epoch) *frame {
	return textFrame(kindHello, onsale.FeedHello{
		Type: onsale.FrameHello, ServerTime: time.Now().UTC(), HeartbeatMs: heartbeat.Milliseconds(), Epoch: epoch,
	})
}

// hear takes what the client has sent, in whatever pieces. It returns true when it has said goodbye, or
// has broken the protocol and doesn't stop talking: then the reader leaves.
func (c *conn) hear(p []byte) (over bool) {
	if len(p) == 0 {
		return false
	}
	if c.broken {
		// Closing a socket with something unread in it makes TCP throw away what was
		// written, the close frame too.
		c.noise += len(p)
		return c.noise > lastWords
	}
	err := c.inbox.take(p, c.receive)
	switch {
	case err == nil:
		return false
	case errors.Is(err, errGoodbye):
		return true
	}
	c.shut(badFrame("not a frame of the protocol"))
	c.broken, c.inbox = true, inbox{}
	return false
}

// receive takes a message, a control frame, or word of a piece of a message that isn't whole. All count: they
// take the time of a loop that all clients share.
func (c *conn) receive(kind int, data []byte) error {
	switch kind {
	case websocket.PingMessage:
		c.owe(pongFrame(data))
		return c.asked()
	case websocket.PongMessage, continuation:
		return c.asked()
	case websocket.CloseMessage:
		c.echoClose()
		return errGoodbye
	}
	if err := c.asked(); err != nil {
		return err
	}
	c.take(kind, data)
	return nil
}

// lives is called for each frame that comes in: the client is alive.
func (c *conn) lives() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alive(c.hub.gateway.clock())
}

// alive notes when the client gave a sign of life. Called under mu.
func (c *conn) alive(at time.Duration) {
	g := c.hub.gateway
	c.heard, c.pinged = at, false
	if c.closing == nil && !c.draining {
		g.lateness.forget(c)
	}
}

// asked is called for each frame that comes in. It returns an error if there are too many.
func (c *conn) asked() error {
	if second := time.Now().Unix(); c.second != second {
		c.second, c.requests = second, 0
	}
	if c.requests++; c.requests > maxRequestsPerSecond {
		return errTooManyRequests
	}
	c.lives()
	return nil
}

var (
	errTooManyRequests = errors.New("too many frames in a second")
	errGoodbye         = errors.New("the client has closed the feed")
)

// take does what the client asks.
func (c *conn) take(kind int, data []byte) {
	var request onsale.FeedRequest
	if kind != websocket.TextMessage || !utf8.Valid(data) || json.Unmarshal(data, &request) != nil {
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

// leave ends everything that knows the connection, and its socket. The reader calls it, once, and is
// nothing any more afterwards.
func (c *conn) leave() {
	g := c.hub.gateway
	defer g.conns.Done()
	g.audience.unbind(c)
	c.hub.roster.remove(c)
	g.unwatch(c.hub)
	g.gate.leave(networkOf(c.remote.Addr()))

	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.owed = nil
	g.lateness.forget(c)
	c.line.close()
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
	c.line.cut() // the reader does the rest
}
