package realtime

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/gorilla/websocket"

	"onsale"
	"onsale/internal/feedbin"
)

// encoding is a form in which a client gets what is told to everybody.
type encoding uint8

const (
	asText    encoding = iota // onsale.v1
	asBinary                  // onsale.v1.bin
	encodings                 // how many there are
)

// protocols are the subprotocols by their encodings.
var protocols = [encodings]string{asText: onsale.FeedProtocol, asBinary: onsale.FeedBinary}

// message is what is told to everybody who watches an event: a snapshot, a delta or a
// sale. It is encoded when the first client wants it, once for all with the same encoding.
type message struct {
	kind     kind
	body     any                   // never changed
	sections []string              // the ids of the event's, which a binary delta counts
	spent    *metrics.FloatCounter // seconds of encoding

	encode sync.Mutex // taken by whoever encodes
	frames [encodings]atomic.Pointer[frame]
}

// as returns the message as a frame.
func (m *message) as(e encoding) *frame {
	if f := m.frames[e].Load(); f != nil {
		return f
	}
	m.encode.Lock()
	defer m.encode.Unlock()
	if f := m.frames[e].Load(); f != nil {
		return f // somebody was quicker
	}
	began := time.Now()
	f := &frame{kind: m.kind, wire: m.wire(e)}
	m.frames[e].Store(f)
	m.spent.Add(time.Since(began).Seconds())
	return f
}

// wire encodes the message, all of whose types can be encoded.
func (m *message) wire(e encoding) []byte {
	payload, err := m.payload(e)
	if err != nil {
		panic(fmt.Sprintf("encode a feed frame: %v", err))
	}
	if e == asText {
		return wire(websocket.TextMessage, payload)
	}
	return wire(websocket.BinaryMessage, payload)
}

func (m *message) payload(e encoding) ([]byte, error) {
	if e == asText {
		return json.Marshal(m.body)
	}
	switch body := m.body.(type) {
	case *onsale.FeedSnapshot:
		return feedbin.Snapshot(body)
	case *onsale.FeedDelta:
		return feedbin.Delta(body, m.sections)
	case *onsale.FeedSale:
		return feedbin.Sale(body)
	}
	return nil, fmt.Errorf("%T has no binary form", m.body)
}
