package realtime

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/gorilla/websocket"

	"onsale"
)

// kind is what a frame is counted as.
type kind int

const (
	kindHello kind = iota
	kindSnapshot
	kindDelta
	kindOrder
	kindControl // ping, pong and close
	kinds       // how many there are
)

var kindNames = [kinds]string{"hello", "snapshot", "delta", "order", "control"}

// frame is a WebSocket frame as it goes over the wire, encoded once for all who
// get it. Immutable.
//
// It takes the place of gorilla's PreparedMessage, which can only be written by
// someone who is ready to wait for the socket; these bytes can be offered, and
// what the socket didn't take can be finished later (see writer).
type frame struct {
	kind kind
	wire []byte
}

var pingFrame = &frame{kind: kindControl, wire: wire(websocket.PingMessage, nil)}

// textFrame encodes a message of the protocol, all of whose types can be encoded.
func textFrame(k kind, message any) *frame {
	payload, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("encode a feed frame: %v", err))
	}
	return &frame{kind: k, wire: wire(websocket.TextMessage, payload)}
}

func pongFrame(payload string) *frame {
	return &frame{kind: kindControl, wire: wire(websocket.PongMessage, []byte(payload))}
}

func closeFrame(code int, reason string) *frame {
	return &frame{kind: kindControl, wire: wire(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))}
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

// Snapshot is the stock as the feed shows it: each section's counts, and the
// part of the event's seat string that is its own.
func Snapshot(layout *onsale.Layout, stock *onsale.Stock) *onsale.FeedSnapshot {
	s := &onsale.FeedSnapshot{
		Type: onsale.FrameSnapshot, Event: stock.Event, Epoch: stock.Epoch, Seq: stock.Seq, At: stock.At, Sale: stock.Sale,
		Sections: make([]onsale.FeedSection, 0, len(stock.Counts)),
	}
	for i, section := range layout.Sections() {
		s.Sections = append(s.Sections, onsale.FeedSection{
			ID: section.ID, Counts: stock.Counts[i], Seats: string(stock.Seats[section.Start:section.End]),
		})
	}
	return s
}

// diff returns the delta that leads from the older stock to the newer one of the
// same epoch, and makes the older one equal to the newer.
func diff(layout *onsale.Layout, older, newer *onsale.Stock) *onsale.FeedDelta {
	d := &onsale.FeedDelta{
		Type: onsale.FrameDelta, Epoch: newer.Epoch, From: older.Seq, Seq: newer.Seq, At: newer.At, Sale: newer.Sale,
		Sections: map[string]onsale.FeedChanges{},
	}
	for i, section := range layout.Sections() {
		was, is := older.Seats[section.Start:section.End], newer.Seats[section.Start:section.End]
		runs := seatRuns(was, is)
		if len(runs) == 0 && older.Counts[i] == newer.Counts[i] {
			continue
		}
		d.Sections[section.ID] = onsale.FeedChanges{Counts: newer.Counts[i], Seats: runs}
		copy(was, is)
	}
	copy(older.Counts, newer.Counts)
	older.Seq, older.At, older.Sale, older.NextDue = newer.Seq, newer.At, newer.Sale, newer.NextDue
	return d
}

// seatRuns returns the letters that differ, in runs.
func seatRuns(was, is []byte) []onsale.FeedRun {
	if string(was) == string(is) {
		return nil // most sections, most ticks: one comparison
	}
	var runs []onsale.FeedRun
	for i := 0; i < len(is); i++ {
		if was[i] == is[i] {
			continue
		}
		start := i
		for i < len(is) && was[i] != is[i] {
			i++
		}
		runs = append(runs, onsale.FeedRun{Offset: start, States: string(is[start:i])})
	}
	return runs
}
