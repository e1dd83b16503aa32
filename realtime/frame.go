package realtime

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
)

// kind is what a frame is counted as.
type kind int

const (
	kindHello kind = iota
	kindSnapshot
	kindDelta
	kindSale
	kindQueue
	kindHold
	kindOrder
	kindBye     // and the close that follows it
	kindControl // ping, pong, and close without a word
	kinds       // how many there are
)

var kindNames = [kinds]string{"hello", "snapshot", "delta", "sale", "queue", "hold", "order", "bye", "control"}

// frame is a WebSocket frame as it goes over the wire, encoded once for all who
// get it. Immutable.
//
// It takes the place of gorilla's PreparedMessage, which can only be written by
// someone who is ready to wait for the socket; these bytes can be offered, and
// what the socket didn't take can be finished later (see line).
type frame struct {
	kind kind
	wire []byte
}

var pingFrame = &frame{kind: kindControl, wire: wire(websocket.PingMessage, nil)}

// textFrame encodes what one client is told, all of whose types can be encoded.
func textFrame(k kind, message any) *frame {
	payload, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("encode a feed frame: %v", err))
	}
	return &frame{kind: k, wire: wire(websocket.TextMessage, payload)}
}

func pongFrame(payload []byte) *frame {
	return &frame{kind: kindControl, wire: wire(websocket.PongMessage, payload)}
}

func closeFrame(code int, reason string) *frame {
	return &frame{kind: kindControl, wire: wire(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))}
}

// goodbye is why the server ends a feed, and when the client shall come back.
type goodbye struct {
	code   int
	reason string        // for a person who reads logs; 123 bytes at the most
	within time.Duration // come back after a random part of it; 0: no advice
}

// comeBackWithin spreads those whom a process leaves, so that the others aren't overrun.
const comeBackWithin = 5 * time.Second

// The reasons that don't depend on what a client did wrong.
var (
	restarting = goodbye{onsale.CloseRestarting, "the server is going down", comeBackWithin}
	tooSlow    = goodbye{onsale.CloseTooSlow, "read faster", comeBackWithin}
	signInAnew = goodbye{code: onsale.CloseUnauthenticated, reason: "sign in again"}
)

func badFrame(reason string) goodbye { return goodbye{code: onsale.CloseBadFrame, reason: reason} }

// byeFrame is the bye and the close, in one: nothing can come between.
func byeFrame(b goodbye) *frame {
	bye := textFrame(kindBye, onsale.FeedBye{Type: onsale.FrameBye, Code: b.code, Reason: b.reason, RetryWithinMs: b.within.Milliseconds()})
	bye.wire = append(bye.wire, closeFrame(b.code, b.reason).wire...)
	return bye
}

// wire is a whole, unfragmented and, as a server's are, unmasked frame.
// Source: RFC 6455, section 5.2.
func wire(opcode int, payload []byte) []byte {
	const final = 0x80
	frame := make([]byte, 0, len(payload)+10)
	frame = append(frame, byte(final|opcode))
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, byte(n))
	case n <= math.MaxUint16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	return append(frame, payload...)
}
