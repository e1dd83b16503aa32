// Package rawfeed is what a feed's client needs which is a few words of memory, not a goroutine
// with a library's connection: frames, the upgrade, and a socket in an epoll of its owner's. Very
// many browsers are made of it. Nothing here waits.
package rawfeed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/gorilla/websocket"

	"onsale"
)

const (
	final       = 0x80 // in a frame's first byte: unfragmented
	masked      = 0x80 // in its second: as clients' frames must be
	sixteenBits = 126
	manyBits    = 127
	// MaxFrameBytes is more than a snapshot of the largest event takes.
	MaxFrameBytes = 1 << 20
)

// ErrFrame says that what came is not a frame as Onsale sends them.
var ErrFrame = errors.New("not an unfragmented, unmasked frame of at most 1 MiB")

// Cut cuts the first frame off what has come. ok is false if it isn't all there yet. The payload
// is a part of data.
func Cut(data []byte) (opcode int, payload, rest []byte, ok bool, err error) {
	if len(data) < 2 {
		return 0, nil, data, false, nil
	}
	if data[0]&0xF0 != final || data[1]&masked != 0 {
		return 0, nil, data, false, ErrFrame
	}
	head, size := 2, uint64(data[1])
	switch size {
	case sixteenBits:
		if head = 4; len(data) >= head {
			size = uint64(binary.BigEndian.Uint16(data[2:]))
		}
	case manyBits:
		if head = 10; len(data) >= head {
			size = binary.BigEndian.Uint64(data[2:])
		}
	}
	switch {
	case len(data) < head:
		return 0, nil, data, false, nil
	case size > MaxFrameBytes:
		return 0, nil, data, false, ErrFrame
	case uint64(len(data)-head) < size:
		return 0, nil, data, false, nil
	}
	end := head + int(size)
	return int(data[0] & 0x0F), data[head:end], data[end:], true, nil
}

// Server is a frame as a server sends it.
func Server(opcode int, payload []byte) []byte {
	return append(frameHead(opcode, len(payload), 0), payload...)
}

// Client is a frame as a client sends it: masked, with a mask that changes nothing.
func Client(opcode int, payload []byte) []byte {
	return append(append(frameHead(opcode, len(payload), masked), 0, 0, 0, 0), payload...)
}

func frameHead(opcode, size int, mask byte) []byte {
	first := byte(final | opcode)
	switch {
	case size < sixteenBits:
		return []byte{first, byte(size) | mask}
	case size <= math.MaxUint16:
		return binary.BigEndian.AppendUint16([]byte{first, sixteenBits | mask}, uint16(size))
	default:
		return binary.BigEndian.AppendUint64([]byte{first, manyBits | mask}, uint64(size))
	}
}

// What a client says, ready to be written, and what a server does.
var (
	Ping    = Server(websocket.PingMessage, nil)
	Pong    = Client(websocket.PongMessage, nil)
	Goodbye = Client(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
)

// Request is a client's request of the protocol as it is sent.
func Request(r onsale.FeedRequest) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode a request: %v", err)) // all of its fields can be encoded
	}
	return Client(websocket.TextMessage, text)
}
