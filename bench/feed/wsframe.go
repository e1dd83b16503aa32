package feed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/gorilla/websocket"

	"onsale"
)

// A client of ours is a few words of memory, not a library's connection, so the little of
// RFC 6455 that it needs is here.

const (
	final       = 0x80 // in a frame's first byte: unfragmented
	masked      = 0x80 // in its second: as clients' frames must be
	sixteenBits = 126
	manyBits    = 127
	// maxFrameBytes is more than a snapshot of the largest event takes.
	maxFrameBytes = 1 << 20
)

var errFrame = errors.New("not an unfragmented, unmasked frame of at most 1 MiB")

// cutFrame cuts the first frame off what has come. ok is false if it isn't all there yet.
// The payload is a part of data.
func cutFrame(data []byte) (opcode int, payload, rest []byte, ok bool, err error) {
	if len(data) < 2 {
		return 0, nil, data, false, nil
	}
	if data[0]&0xF0 != final || data[1]&masked != 0 {
		return 0, nil, data, false, errFrame
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
	case size > maxFrameBytes:
		return 0, nil, data, false, errFrame
	case uint64(len(data)-head) < size:
		return 0, nil, data, false, nil
	}
	end := head + int(size)
	return int(data[0] & 0x0F), data[head:end], data[end:], true, nil
}

// serverFrame is a frame as a server sends it.
func serverFrame(opcode int, payload []byte) []byte {
	return append(frameHead(opcode, len(payload), 0), payload...)
}

// clientFrame is a frame as a client sends it: masked, with a mask that changes nothing.
func clientFrame(opcode int, payload []byte) []byte {
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

// ping is what a floor says beside updates, ready to be written.
var ping = serverFrame(websocket.PingMessage, nil)

// What a client says, ready to be written.
var (
	pong    = clientFrame(websocket.PongMessage, nil)
	goodbye = clientFrame(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	again   = requestFrame(onsale.FeedRequest{Type: onsale.FrameResume}) // from nowhere: it is answered with a snapshot
)

// requestFrame is a client's request as it is sent.
func requestFrame(r onsale.FeedRequest) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode a request: %v", err)) // all of its fields can be encoded
	}
	return clientFrame(websocket.TextMessage, text)
}
