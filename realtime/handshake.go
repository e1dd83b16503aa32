package realtime

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it, and nothing depends on its strength
	"encoding/base64"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"

	"onsale"
)

const (
	// handshakeTimeout bounds the write of the answer to an upgrade into an empty socket buffer.
	handshakeTimeout = 5 * time.Second
	// websocketVersion is the only one. Source: RFC 6455, section 4.1.
	websocketVersion = "13"
	// nonceBytes is the length of the decoded Sec-WebSocket-Key. Source: ibid.
	nonceBytes = 16
	// acceptSuffix proves that a server has understood the key. Source: RFC 6455, section 1.3.
	acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

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

// handshake is what an upgrade is answered by.
type handshake struct {
	key  string
	form encoding
}

// readHandshake returns what the request asks for, or why it can't be a feed, while that can still be
// answered like any other refusal.
func readHandshake(r *http.Request) (shake handshake, err error) {
	badRequest := func(reason reason, detail string) error {
		return refuse(reason, onsale.Refuse(onsale.CodeBadRequest, detail))
	}
	shake.key = r.Header.Get("Sec-Websocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(shake.key)
	form := slices.IndexFunc(protocols[:], func(p string) bool { return slices.Contains(websocket.Subprotocols(r), p) })
	switch {
	case !websocket.IsWebSocketUpgrade(r) || r.Method != http.MethodGet:
		return shake, badRequest(reasonHandshake, "this is a WebSocket: connect to it with a WebSocket client")
	case r.Header.Get("Sec-Websocket-Version") != websocketVersion:
		return shake, badRequest(reasonHandshake, "the feed speaks version 13 of the WebSocket protocol")
	case err != nil || len(nonce) != nonceBytes:
		return shake, badRequest(reasonHandshake, "Sec-WebSocket-Key must be 16 bytes in base 64")
	case form < 0:
		return shake, badRequest(reasonProtocol, "ask for the subprotocol "+onsale.FeedProtocol+" or "+onsale.FeedBinary)
	}
	shake.form = encoding(form)
	return shake, nil
}

// answer upgrades: what follows on the socket is frames.
func (shake handshake) answer(socket net.Conn) error {
	if err := socket.SetWriteDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	proof := sha1.Sum([]byte(shake.key + acceptSuffix)) //nolint:gosec // see above
	_, err := socket.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(proof[:]) + "\r\n" +
		"Sec-WebSocket-Protocol: " + protocols[shake.form] + "\r\n\r\n"))
	if err != nil {
		return err
	}
	return socket.SetWriteDeadline(time.Time{})
}
