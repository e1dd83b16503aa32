package realtime

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"

	"onsale"
)

// bare is a client of a few bytes.
type bare struct {
	net.Conn
	in *bufio.Reader
}

// upgraded opens a feed and reads the answer.
func (s *stage) upgraded(t testing.TB, more []byte) *bare {
	t.Helper()
	c := s.knock(t, more)
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := &bare{c, bufio.NewReader(c)}
	response, err := http.ReadResponse(b.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("answered %s, %v", response.Status, response.Header)
	}
	return b
}

func (b *bare) say(t testing.TB, bytes []byte) {
	t.Helper()
	if _, err := b.Write(bytes); err != nil {
		t.Fatal(err)
	}
}

// next reads a frame.
func (b *bare) next(t testing.TB) (kind int, payload string) {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(b.in, head[:]); err != nil {
		t.Fatal(err)
	}
	size := int(head[1])
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(b.in, long[:]); err != nil {
			t.Fatal(err)
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(b.in, data); err != nil {
		t.Fatal(err)
	}
	return int(head[0] & 0xf), string(data)
}

// until reads up to the next frame of the kind.
func (b *bare) until(t testing.TB, kind int) string {
	t.Helper()
	for {
		if got, payload := b.next(t); got == kind {
			return payload
		}
	}
}

func control(kind int, payload string) []byte {
	return clientFrame(0x80|byte(kind), []byte(payload), [4]byte{1, 2, 3, 4}, 0)
}

func TestClientThatSendsByteByByteIsHeard(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			s := serve(t, server, newHouse(t, "show", 1, 10))
			b := s.upgraded(t, nil)
			sent := append(clientFrame(0x01, []byte(`{"type":"auth",`), [4]byte{9, 8, 7, 6}, 0), control(websocket.PingMessage, "within")...)
			sent = append(sent, clientFrame(0x80, []byte(`"token":"token of buy_a"}`), [4]byte{5, 4, 3, 2}, 8)...)
			for i := range sent {
				b.say(t, sent[i:i+1])
			}
			if got := b.until(t, websocket.PongMessage); got != "within" {
				t.Errorf("the pong says %q", got)
			}
			eventually(t, func() error {
				if len(s.gateway.audience.of("buy_a")) != 1 {
					return errors.New("the message was lost")
				}
				return nil
			})
		})
	}
}

func TestFramesSentWithTheRequestAreHeardInTheirOrder(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			s := serve(t, server, newHouse(t, "show", 1, 10))
			auth := masked(`{"type":"auth","token":"token of buy_a"}`)
			early := append(control(websocket.PingMessage, "first"), control(websocket.PingMessage, "second")...)
			b := s.upgraded(t, append(early, auth[:20]...))
			b.say(t, append(append([]byte{}, auth[20:]...), control(websocket.PingMessage, "third")...))
			for _, want := range []string{"first", "second", "third"} {
				if got := b.until(t, websocket.PongMessage); got != want {
					t.Errorf("the pong says %q, want %q", got, want)
				}
			}
			if n := len(s.gateway.audience.of("buy_a")); n != 1 {
				t.Errorf("%d connections are the buyer's", n)
			}
		})
	}
}

func TestClientThatSaysGoodbyeIsAnsweredAndLeft(t *testing.T) {
	for _, name := range []string{"plain", "threaded"} { // where sockets are hidden nobody waits for the answer to be written
		t.Run(name, func(t *testing.T) {
			s := serve(t, servers[name], newHouse(t, "show", 1, 10))
			b := s.upgraded(t, nil)
			b.say(t, control(websocket.CloseMessage, "\x03\xe8"))
			if got := b.until(t, websocket.CloseMessage); got != "\x03\xe8" {
				t.Errorf("answered by a close of %x", got)
			}
			if n, err := b.in.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
				t.Errorf("after the close come %d bytes, %v", n, err)
			}
		})
	}
}

func TestTextThatIsNotUTF8EndsTheFeed(t *testing.T) {
	s := serve(t, nil, newHouse(t, "show", 1, 10))
	b := s.upgraded(t, masked("{\"type\":\"auth\",\"token\":\"token of \xff\"}"))
	if got := b.until(t, websocket.CloseMessage); binary.BigEndian.Uint16([]byte(got)) != onsale.CloseBadFrame {
		t.Errorf("closed with %x", got)
	}
}

// A cut comes from anywhere, at any moment: also while the client is heard.
func TestFeedsThatAreCutWhileTheyAreHeardEndOnce(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "show", 1, 10)
			s := serve(t, server, h)
			const rounds, clients = 10, 4
			for range rounds {
				var talking sync.WaitGroup
				for range clients {
					b := s.upgraded(t, nil)
					talking.Go(func() {
						for _, c := range masked(strings.Repeat(" ", maxRequestBytes)) { // until it is cut
							if _, err := b.Write([]byte{c}); err != nil {
								return
							}
						}
					})
				}
				var conns []*conn
				eventually(t, func() error {
					s.gateway.mu.Lock()
					defer s.gateway.mu.Unlock()
					if conns = connsOf(s.gateway.hubs); len(conns) < clients {
						return errors.New("not all have begun")
					}
					return nil
				})
				for _, c := range conns {
					for range 2 {
						talking.Go(c.cut)
					}
					talking.Go(func() { c.owe(pingFrame) })
				}
				talking.Wait()
				eventually(t, s.isEmpty)
			}
		})
	}
}

// isEmpty returns an error unless the gateway has forgotten everybody.
func (s *stage) isEmpty() error {
	g := s.gateway
	g.lateness.mu.Lock()
	late := len(g.lateness.due)
	g.lateness.mu.Unlock()
	g.audience.mu.Lock()
	buyers := len(g.audience.byBuyer)
	g.audience.mu.Unlock()
	g.mu.Lock()
	left := len(connsOf(g.hubs))
	g.mu.Unlock()
	if open := g.gate.open(); open+left+late+buyers > 0 {
		return fmt.Errorf("%d feeds are open, %d on rosters, %d may be late, %d buyers are known", open, left, late, buyers)
	}
	return nil
}

// openFiles counts the process's descriptors; 0 where that can't be seen.
func openFiles() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

// Each signs in under a name of its own, and each goes in another way.
func TestTenThousandClientsThatComeAndGoLeaveNothing(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.UpgradeShare = 100 }, h) // without rests
	first := s.open(t, h)
	eventually(t, first.sees)
	first.leave()
	eventually(t, s.isEmpty)
	files, routines := openFiles(), runtime.NumGoroutine()

	const clients, atOnce = 10_000, 20
	var crowd sync.WaitGroup
	for n := range atOnce {
		crowd.Go(func() {
			for i := range clients / atOnce {
				if err := s.visit(fmt.Sprintf("buy_%d_%d", n, i), i); err != nil {
					t.Errorf("client %d of %d: %v", i, n, err)
					return
				}
			}
		})
	}
	crowd.Wait()
	eventually(t, s.isEmpty)
	eventually(t, func() error {
		if f, r := openFiles(), runtime.NumGoroutine(); f > files+atOnce || r > routines+atOnce { // fasthttp keeps some workers
			return fmt.Errorf("%d files and %d goroutines, and before there were %d and %d", f, r, files, routines)
		}
		return nil
	})
}

// visit opens a feed, signs in, sees that nobody else's connection was taken for its own, and goes.
func (s *stage) visit(buyer string, way int) error {
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		return err
	}
	defer c.Close()
	request := strings.Join([]string{"GET /live/show HTTP/1.1", "Host: " + s.address, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: onsale.v1", "", ""}, "\r\n")
	if _, err := c.Write(append([]byte(request), masked(`{"type":"auth","token":"token of `+buyer+`"}`)...)); err != nil {
		return err
	}
	if way%5 == 0 {
		return nil // at once
	}
	if _, err := c.Write(control(websocket.PingMessage, buyer)); err != nil {
		return err
	}
	var heard []byte
	buffer := make([]byte, 4<<10)
	for !strings.Contains(string(heard), "\x8a"+string(rune(len(buyer)))+buyer) {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		n, err := c.Read(buffer)
		if err != nil {
			return fmt.Errorf("its pong never came: %w", err)
		}
		heard = append(heard, buffer[:n]...)
	}
	theirs := s.gateway.audience.of(onsale.BuyerID(buyer))
	if len(theirs) != 1 || theirs[0].remote.String() != c.LocalAddr().String() {
		return fmt.Errorf("%d connections are its own", len(theirs))
	}
	switch way % 5 {
	case 1:
		_, err = c.Write(control(websocket.CloseMessage, "\x03\xe8"))
	case 2:
		err = c.(*net.TCPConn).SetLinger(0) // a reset
	case 3:
		_, err = c.Write(masked("{}")[:3]) // in the middle of a frame
	}
	return err
}
