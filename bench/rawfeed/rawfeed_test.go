package rawfeed

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestAFrameIsCutWhereverTheStreamIsCut(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 125, 126, 65_535, 65_536, MaxFrameBytes} {
		payload := bytes.Repeat([]byte{'x'}, size)
		wire := append(Server(websocket.TextMessage, payload), 0x89, 0)
		for _, have := range []int{0, 1, 2, 3, 9, size / 2, len(wire) - 3} {
			if have > len(wire)-3 {
				continue
			}
			if _, _, rest, ok, err := Cut(wire[:have]); ok || err != nil || len(rest) != have {
				t.Fatalf("%d of %d bytes: cut %v, %v", have, size, ok, err)
			}
		}
		opcode, got, rest, ok, err := Cut(wire)
		if !ok || err != nil || opcode != websocket.TextMessage || !bytes.Equal(got, payload) || len(rest) != 2 {
			t.Fatalf("%d bytes: opcode %d, %d bytes, %d left, %v, %v", size, opcode, len(got), len(rest), ok, err)
		}
		if opcode, _, rest, ok, err = Cut(rest); !ok || err != nil || opcode != websocket.PingMessage || len(rest) != 0 {
			t.Fatalf("the next one: opcode %d, %d left, %v, %v", opcode, len(rest), ok, err)
		}
	}
}

func TestWhatNoServerMaySendIsNoFrame(t *testing.T) {
	t.Parallel()
	for name, wire := range map[string][]byte{
		"masked":     Client(websocket.TextMessage, []byte("x")),
		"fragmented": {0x01, 0},
		"reserved":   {0xC1, 0},
		"too long":   Server(websocket.TextMessage, make([]byte, MaxFrameBytes+1)),
	} {
		if _, _, _, ok, err := Cut(wire); ok || !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(Server(websocket.TextMessage, []byte("hello")))
	f.Add([]byte{0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, wire []byte) {
		opcode, payload, rest, ok, err := Cut(wire)
		if ok && (err != nil || len(payload)+len(rest) >= len(wire) || opcode > 15) {
			t.Errorf("%d and %d of %d bytes, opcode %d, %v", len(payload), len(rest), len(wire), opcode, err)
		}
	})
}

func TestTheAnswerToAnUpgradeIsRead(t *testing.T) {
	t.Parallel()
	const end = "\r\n\r\n"
	for given, want := range map[string]struct {
		answer Answer
		rest   string
		after  time.Duration
	}{
		"":                                   {},
		"HTTP/1.1 101 Switching":             {rest: "HTTP/1.1 101 Switching"},
		"HTTP/1.1 101 Switching" + end:       {answer: Upgraded},
		"HTTP/1.1 101 Switching" + end + "x": {answer: Upgraded, rest: "x"},
		"HTTP/1.1 503 Unavailable\r\nRetry-After: 7\r\nX: y" + end: {answer: Busy, after: 7 * time.Second},
		"HTTP/1.1 503 Unavailable\r\nRetry-After: soon" + end:      {answer: Busy, after: time.Second},
		"HTTP/1.1 403 Forbidden" + end:                             {answer: Refused},
		"HTTP/1.1 404 Not Found" + end:                             {answer: Busy, after: time.Second},
		string(make([]byte, mostHead)):                             {answer: Refused},
	} {
		answer, rest, after, err := ReadAnswer([]byte(given))
		if answer != want.answer || string(rest) != want.rest || after != want.after || (err != nil) != (answer == Refused) {
			t.Errorf("%.40q: %d, rest %q, after %v, %v", given, answer, rest, after, err)
		}
	}
}
