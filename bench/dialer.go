package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/bench/rawfeed"
	"onsale/internal/feedclient"
)

const handshakeTimeout = 15 * time.Second

// dialer opens the feeds of one event. What all of them share is here: clients that
// are in step receive the same bytes, which are parsed and folded once.
type dialer struct {
	ws     websocket.Dialer
	url    string
	parser feedclient.Parser
	buffer sync.Pool // of *bytes.Buffer: a feed has one only while a frame comes in
}

func newDialer(target string, event onsale.EventID) *dialer {
	url := "ws" + strings.TrimPrefix(strings.TrimSuffix(target, "/"), "http") + "/v1/events/" + string(event) + "/live"
	return &dialer{
		url: url,
		ws: websocket.Dialer{
			HandshakeTimeout: handshakeTimeout,
			Subprotocols:     []string{onsale.FeedProtocol},
			WriteBufferPool:  &sync.Pool{},
		},
		buffer: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// dial opens a feed, which goes on from where a resume says, if it says anything.
func (d *dialer) dial(ctx context.Context, from onsale.FeedRequest) (*websocket.Conn, error) {
	url := d.url
	if from.Epoch != 0 {
		url += fmt.Sprintf("?epoch=%d&seq=%d", from.Epoch, from.Seq)
	}
	conn, resp, err := d.ws.DialContext(ctx, url, nil)
	if resp != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		switch {
		case resp == nil:
			return nil, fmt.Errorf("opening the feed: %w", err)
		case resp.StatusCode == http.StatusServiceUnavailable:
			return nil, onsale.Busy(onsale.CodeOverloaded, "the feed has no room", 0, err)
		case resp.StatusCode == http.StatusNotFound:
			return nil, onsale.Refuse(onsale.CodeUnknownEvent, "the feed knows no such event")
		}
		return nil, fmt.Errorf("opening the feed: status %d: %w", resp.StatusCode, err)
	}
	if conn.Subprotocol() != onsale.FeedProtocol {
		return nil, errors.Join(fmt.Errorf("the feed speaks %q, not %q", conn.Subprotocol(), onsale.FeedProtocol), conn.Close())
	}
	conn.SetReadLimit(rawfeed.MaxFrameBytes)
	return conn, nil
}
