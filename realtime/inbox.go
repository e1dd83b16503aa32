package realtime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// inbox takes apart what a client sends, in whatever pieces it comes. Between two messages it keeps
// nothing; of one that hasn't come whole it keeps its bytes, maxRequestBytes and a head at the most.
// Owned by the connection's reader. The zero value is ready.
//
// It hears and refuses exactly what gorilla's reader does, which a test holds it to: masks, reserved bits, lengths,
// fragments, control frames between them, and codes of a close. Source: RFC 6455, section 5.
type inbox struct {
	begun    []byte // the beginning of a frame
	message  []byte // the fragments of a message so far
	fragment int    // what kind of message that is; 0: none is under way
}

const (
	continuation   = 0
	maxControlSize = 125 // of a ping, pong or close
	maskSize       = 4
)

// What a client does that no client of the protocol does.
var (
	errReserved   = errors.New("a frame with a reserved bit or an unknown kind")
	errUnmasked   = errors.New("a frame without a mask")
	errControl    = errors.New("a control frame that is long or in pieces")
	errFragments  = errors.New("a message within another, or the rest of none")
	errTooLong    = errors.New("a message that is too long")
	errCloseFrame = errors.New("a close with a code that may not be sent, or a reason that isn't UTF-8")
)

// take calls hear for every message and control frame that is whole by now, in their order, and, as continuation
// and without its data, for every piece of a message that isn't. data is good
// until hear returns. p is overwritten. After an error, of the protocol or hear's, nothing more may be taken.
func (in *inbox) take(p []byte, hear func(kind int, data []byte) error) error {
	waited := len(in.begun) > 0
	if waited {
		p = append(in.begun, p...)
	}
	size := len(p)
	for len(p) > 0 {
		n, err := in.frame(p, hear)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		p = p[n:]
	}
	switch {
	case len(p) == 0:
		in.begun = nil
	case waited && len(p) == size:
		in.begun = p // its own, so that a frame which comes byte by byte isn't copied as often
	default:
		in.begun = bytes.Clone(p)
	}
	return nil
}

// frame takes the frame that p begins with, and returns its length; 0 if it hasn't come whole.
func (in *inbox) frame(p []byte, hear func(kind int, data []byte) error) (int, error) {
	if len(p) < 2 {
		return 0, nil
	}
	kind, final := int(p[0]&0xf), p[0]&0x80 != 0
	if err := in.check(p[0], p[1]); err != nil {
		return 0, err
	}
	length, head := uint64(p[1]&0x7f), 2
	switch length {
	case 126:
		head += 2
	case 127:
		head += 8
	}
	if len(p) < head+maskSize {
		return 0, nil
	}
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		length = binary.BigEndian.Uint64(p[2:])
	}
	if kind < websocket.CloseMessage && length > uint64(maxRequestBytes-len(in.message)) {
		return 0, errTooLong
	}
	end := head + maskSize + int(length)
	if len(p) < end {
		return 0, nil
	}
	data := p[head+maskSize : end]
	unmask(data, [maskSize]byte(p[head:]))
	return end, in.deliver(kind, final, data, hear)
}

// check finds what is wrong with a frame by its first two bytes.
func (in *inbox) check(first, second byte) error {
	const reserved, final, masked = 0x70, 0x80, 0x80
	kind := int(first & 0xf)
	switch {
	case first&reserved != 0:
		return errReserved
	case second&masked == 0:
		return errUnmasked
	}
	switch kind {
	case websocket.CloseMessage, websocket.PingMessage, websocket.PongMessage:
		if first&final == 0 || second&0x7f > maxControlSize {
			return errControl
		}
	case websocket.TextMessage, websocket.BinaryMessage:
		if in.fragment != 0 {
			return errFragments
		}
	case continuation:
		if in.fragment == 0 {
			return errFragments
		}
	default:
		return errReserved
	}
	return nil
}

// deliver has a whole frame heard, unless it is a fragment that isn't the last.
func (in *inbox) deliver(kind int, final bool, data []byte, hear func(kind int, data []byte) error) error {
	switch kind {
	case websocket.PingMessage, websocket.PongMessage:
		return hear(kind, data)
	case websocket.CloseMessage:
		if len(data) >= 2 && (!mayClose(binary.BigEndian.Uint16(data)) || !utf8.Valid(data[2:])) {
			return errCloseFrame
		}
		return hear(kind, data)
	}
	if kind != continuation {
		if final {
			return hear(kind, data)
		}
		in.fragment = kind
	}
	in.message = append(in.message, data...)
	if !final {
		return hear(continuation, nil)
	}
	kind, data = in.fragment, in.message
	in.fragment, in.message = 0, nil
	return hear(kind, data)
}

// mayClose reports whether a client may send the code. Source: RFC 6455, section 7.4, and IANA's registry.
func mayClose(code uint16) bool {
	switch code {
	case websocket.CloseNoStatusReceived, websocket.CloseAbnormalClosure, 1004:
		return false
	}
	return code >= websocket.CloseNormalClosure && code <= websocket.CloseTryAgainLater || code >= 3000 && code <= 4999
}

func unmask(data []byte, mask [maskSize]byte) {
	for i := range data {
		data[i] ^= mask[i%maskSize]
	}
}
