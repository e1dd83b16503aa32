package realtime

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// hearing is all that a reader hears of what a client sends.
type hearing struct {
	heard []string
	end   string // "": it waits for more
}

const broken = "broken" // whatever is wrong, it is answered in the same way

// hearInbox has an inbox take the bytes in pieces.
func hearInbox(sent []byte, piece func(left int) int) (h hearing) {
	var in inbox
	for len(sent) > 0 {
		n := min(piece(len(sent)), len(sent))
		err := in.take(bytes.Clone(sent[:n]), func(kind int, data []byte) error {
			if kind == continuation { // of which gorilla doesn't tell
				return nil
			}
			h.heard = append(h.heard, fmt.Sprintf("%d %x", kind, data))
			if kind == websocket.CloseMessage {
				return errGoodbye
			}
			return nil
		})
		sent = sent[n:]
		switch {
		case errors.Is(err, errGoodbye):
			h.end = "goodbye"
			return h
		case err != nil:
			h.end = broken
			return h
		}
	}
	return h
}

// silence is a socket on which a client has sent something, and nothing else.
type silence struct {
	net.Conn
	sent io.Reader
}

func (s *silence) Read(p []byte) (int, error)       { return s.sent.Read(p) }
func (s *silence) Write(p []byte) (int, error)      { return len(p), nil }
func (s *silence) Close() error                     { return nil }
func (s *silence) SetDeadline(time.Time) error      { return nil }
func (s *silence) SetWriteDeadline(time.Time) error { return nil }

// hearGorilla has gorilla's reader read the same.
func hearGorilla(t testing.TB, sent []byte) (h hearing) {
	t.Helper()
	ws, err := (&websocket.Upgrader{}).Upgrade(hijacking{&silence{sent: bytes.NewReader(sent)}}, &http.Request{Method: http.MethodGet, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(maxRequestBytes)
	note := func(kind int) func(string) error {
		return func(data string) error {
			h.heard = append(h.heard, fmt.Sprintf("%d %x", kind, data))
			return nil
		}
	}
	ws.SetPingHandler(note(websocket.PingMessage))
	ws.SetPongHandler(note(websocket.PongMessage))
	ws.SetCloseHandler(func(code int, reason string) error {
		var data []byte
		if code != websocket.CloseNoStatusReceived {
			data = append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
		}
		return note(websocket.CloseMessage)(string(data))
	})
	for {
		kind, data, err := ws.ReadMessage()
		closed := (*websocket.CloseError)(nil)
		switch {
		case err == nil:
			h.heard = append(h.heard, fmt.Sprintf("%d %x", kind, data))
			continue
		case errors.As(err, &closed) && closed.Code == websocket.CloseAbnormalClosure: // what was sent is over
		case errors.As(err, &closed):
			h.end = "goodbye"
		default:
			h.end = broken
		}
		return h
	}
}

// hijacking is a response that gives a socket away.
type hijacking struct{ socket net.Conn }

func (h hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.socket, bufio.NewReadWriter(bufio.NewReaderSize(nil, 0), bufio.NewWriter(h.socket)), nil
}

func (h hijacking) Header() http.Header         { return http.Header{} }
func (h hijacking) Write(p []byte) (int, error) { return len(p), nil }
func (h hijacking) WriteHeader(int)             {}

// compare holds the inbox to gorilla, in pieces of several sizes.
func compare(t testing.TB, sent []byte) {
	t.Helper()
	want := hearGorilla(t, sent)
	pieces := map[string]func(int) int{
		"whole": func(left int) int { return left }, "bytes": func(int) int { return 1 },
		"sevens": func(int) int { return 7 }, "kilobytes": func(int) int { return 1 << 10 },
	}
	for name, piece := range pieces {
		got := hearInbox(sent, piece)
		if oneByteClose(got.heard) {
			got.heard[len(got.heard)-1] = fmt.Sprintf("%d ", websocket.CloseMessage) // gorilla tells of no code
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("in %s: heard %.300v, gorilla %.300v, of %.200x", name, got, want, sent)
		}
	}
}

func oneByteClose(heard []string) bool {
	n := len(heard)
	return n > 0 && len(heard[n-1]) == 4 && heard[n-1][0] == '8'
}

// clientFrame is a frame under a mask, with a length that is written as it is said.
func clientFrame(first byte, payload []byte, mask [4]byte, long int) []byte {
	frame := []byte{first}
	switch {
	case long == 8 || len(payload) > 1<<16-1:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(len(payload)))
	case long == 2 || len(payload) > maxControlSize:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(payload)))
	default:
		frame = append(frame, 0x80|byte(len(payload)))
	}
	frame = append(frame, mask[:]...)
	at := len(frame)
	frame = append(frame, payload...)
	unmask(frame[at:], mask)
	return frame
}

// conversation is frames at random, most of them right and in a right order.
func conversation(r *rand.Rand) (sent []byte) {
	under := false // a message
	for range r.IntN(12) {
		var mask [4]byte
		binary.LittleEndian.PutUint32(mask[:], r.Uint32())
		size := []int{0, 1, 2, 5, 60, 125, 126, 127, 1000, maxRequestBytes - 1, maxRequestBytes, maxRequestBytes + 1, 1 << 16}[r.IntN(13)]
		first := byte(0)
		switch kind := r.IntN(20); {
		case kind < 4:
			first, size = 0x80|byte(websocket.PingMessage+r.IntN(2)), size%(maxControlSize+1)
		case kind == 4:
			first, size = 0x80|websocket.CloseMessage, size%(maxControlSize+1)
		case kind == 5: // anything
			first = byte(r.IntN(256))
		case under:
			first = byte(r.IntN(2) * 0x80)
			under = first == 0
		default:
			first = byte(r.IntN(2)*0x80 | 1 + r.IntN(2))
			under = first&0x80 == 0
		}
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(r.IntN(256))
		}
		if first&0xf == websocket.CloseMessage && size >= 2 && r.IntN(4) > 0 {
			binary.BigEndian.PutUint16(payload, uint16([]int{999, 1000, 1003, 1004, 1005, 1006, 1007, 1013, 1014, 1015, 2999, 3000, 4408, 4999, 5000}[r.IntN(15)]))
			for i := range payload[2:] {
				payload[2+i] = 'x'
			}
		}
		frame := clientFrame(first, payload, mask, r.IntN(12))
		if r.IntN(40) == 0 {
			frame[1] &^= 0x80 // without a mask
		}
		sent = append(sent, frame...)
	}
	if len(sent) > 0 && r.IntN(4) == 0 {
		sent = sent[:r.IntN(len(sent))]
	}
	return sent
}

func TestWhatClientsSendIsHeardAsGorillaHearsIt(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(1000) {
		sent := conversation(rand.New(rand.NewPCG(seed, 1)))
		compare(t, sent)
		ends[hearInbox(sent, func(left int) int { return left }).end]++
	}
	if min(ends[""], ends["goodbye"], ends[broken]) < 30 {
		t.Errorf("conversations end like %v, want 30 of each at least", ends)
	}
}

func FuzzInboxHearsAsGorillaDoes(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(conversation(rand.New(rand.NewPCG(seed, 2))))
	}
	f.Fuzz(func(t *testing.T, sent []byte) { compare(t, sent) })
}

func TestNothingIsKeptOfWhatHasBeenHeard(t *testing.T) {
	var in inbox
	long := clientFrame(0x81, make([]byte, maxRequestBytes), [4]byte{}, 0)
	sent := append(append(long, clientFrame(0x01, make([]byte, 1000), [4]byte{}, 0)...), clientFrame(0x80, nil, [4]byte{}, 0)...)
	most := 0
	for len(sent) > 0 {
		if err := in.take(sent[:1], func(int, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		sent = sent[1:]
		most = max(most, len(in.begun)+len(in.message))
	}
	if in.begun != nil || in.message != nil || in.fragment != 0 {
		t.Errorf("%d and %d bytes are kept", cap(in.begun), cap(in.message))
	}
	if most > maxRequestBytes+14 {
		t.Errorf("%d bytes were kept of a message of %d at the most", most, maxRequestBytes)
	}
}

// A frame that is too long is refused by its head: nobody waits for the rest, nor keeps it.
func TestFrameThatIsTooLongIsRefusedByItsHead(t *testing.T) {
	for _, size := range []uint64{maxRequestBytes + 1, 1 << 20, 1 << 62, 1 << 63, 1<<64 - 1} {
		head := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, size)
		got := hearInbox(append(head, 0, 0, 0, 0), func(left int) int { return left })
		if got.end != broken || len(got.heard) > 0 {
			t.Errorf("of %d bytes: %v", size, got)
		}
	}
}
