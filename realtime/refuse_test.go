package realtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"

	"onsale"
)

func TestRequestsThatCannotBeAFeedAreRefusedBeforeTheUpgrade(t *testing.T) {
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.Origins = []string{"https://shop.example"} }, newHouse(t, "show", 1, 10))
	good := map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqtt, onsale.v1",
	}
	cases := []struct {
		name, method, event, header, value string
		code                               onsale.Code // "" if it must be upgraded
		reason                             string
	}{
		{"good", "GET", "show", "", "", "", ""},
		{"unknown event", "GET", "nothing", "", "", onsale.CodeUnknownEvent, "event"},
		{"not a GET", "POST", "show", "", "", onsale.CodeBadRequest, "handshake"},
		{"no upgrade", "GET", "show", "Upgrade", "", onsale.CodeBadRequest, "handshake"},
		{"other upgrade", "GET", "show", "Upgrade", "h2c", onsale.CodeBadRequest, "handshake"},
		{"old version", "GET", "show", "Sec-WebSocket-Version", "8", onsale.CodeBadRequest, "handshake"},
		{"short key", "GET", "show", "Sec-WebSocket-Key", "c2hvcnQ=", onsale.CodeBadRequest, "handshake"},
		{"no key", "GET", "show", "Sec-WebSocket-Key", "", onsale.CodeBadRequest, "handshake"},
		{"no subprotocol", "GET", "show", "Sec-WebSocket-Protocol", "", onsale.CodeBadRequest, "protocol"},
		{"other subprotocol", "GET", "show", "Sec-WebSocket-Protocol", "onsale.v9", onsale.CodeBadRequest, "protocol"},
		{"own page", "GET", "show", "Origin", "http://" + s.address, "", ""},
		{"allowed page", "GET", "show", "Origin", "https://SHOP.example", "", ""},
		{"allowed host, other scheme", "GET", "show", "Origin", "http://shop.example", onsale.CodeForbidden, "origin"},
		{"strange page", "GET", "show", "Origin", "https://evil.example", onsale.CodeForbidden, "origin"},
		{"page without origin", "GET", "show", "Origin", "null", onsale.CodeForbidden, "origin"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.address+"/live/"+c.event, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range good {
				request.Header.Set(name, value)
			}
			if c.header != "" {
				request.Header.Set(c.header, c.value)
			}
			metric := fmt.Sprintf("onsale_feed_refused_total{reason=%q}", c.reason)
			before := s.count(metric)
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if c.code == "" {
				if response.StatusCode != http.StatusSwitchingProtocols {
					t.Errorf("status %d, want an upgrade", response.StatusCode)
				}
				return
			}
			if got := onsale.Code(response.Header.Get("Code")); got != c.code {
				t.Errorf("refused with %q, want %q", got, c.code)
			}
			if got := s.count(metric) - before; got != 1 {
				t.Errorf("counted %d times under %s", got, c.reason)
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestFeedsBeyondTheBoundAreRefusedUntilOneIsClosed(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.MaxConns = 2 }, h)
	first, second := s.open(t, h), s.open(t, h)
	eventually(t, second.sees)
	_, err := s.dial("show")
	if refusal := (*onsale.Error)(nil); !errors.As(err, &refusal) || refusal.Code != onsale.CodeOverloaded || refusal.RetryAfter < time.Second {
		t.Fatalf("the third feed: %v", err)
	}
	first.leave()
	eventually(t, func() error {
		ws, err := s.dial("show")
		if err == nil {
			ws.Close()
		}
		return err
	})
}

func TestFeedsOfOneNetworkAreBoundedAndOthersNot(t *testing.T) {
	s := serve(t, func(cfg *Config, _ *fasthttp.Server) { cfg.MaxConnsPerIP = 1 }, newHouse(t, "show", 1, 10))
	from := func(ip string) error {
		dialer := websocket.Dialer{
			Subprotocols: []string{onsale.FeedProtocol},
			NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext(ctx, network, address)
			},
		}
		ws, response, err := dialer.Dial("ws://"+s.address+"/live/show", nil)
		if err != nil && response != nil {
			return onsale.Refuse(onsale.Code(response.Header.Get("Code")), err.Error())
		}
		if err == nil {
			t.Cleanup(func() { ws.Close() })
		}
		return err
	}
	if err := from("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := from("127.0.0.1"); onsale.CodeOf(err) != onsale.CodeOverloaded {
		t.Errorf("the second feed of a network: %v", err)
	}
	if err := from("127.0.0.2"); err != nil {
		t.Errorf("the first feed of another network: %v", err)
	}
}

func TestNetworksAreToldApartByWhatOneCustomerHas(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
	} {
		if got := networkOf(netip.MustParseAddr(c.a)) == networkOf(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: one network is %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

func TestClientThatBreaksTheProtocolIsToldSo(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	text, binary := websocket.TextMessage, websocket.BinaryMessage
	for name, c := range map[string]struct {
		kind int
		data string
		code int
	}{
		"not JSON":      {text, "hello", onsale.CloseBadFrame},
		"not an object": {text, "[]", onsale.CloseBadFrame},
		"unknown type":  {text, `{"type":"snapshot"}`, onsale.CloseBadFrame},
		"no type":       {text, `{}`, onsale.CloseBadFrame},
		"binary":        {binary, `{"type":"resume"}`, onsale.CloseBadFrame},
		"too long":      {text, string(make([]byte, 2*maxRequestBytes)), onsale.CloseBadFrame},
		"bad token":     {text, `{"type":"auth","token":"forged"}`, onsale.CloseUnauthenticated},
		"no token":      {text, `{"type":"auth"}`, onsale.CloseUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.open(t, h)
			b.mu.Lock()
			err := b.ws.WriteMessage(c.kind, []byte(c.data))
			b.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error { return b.closedWith(c.code) })
		})
	}
	t.Run("unmasked frame", func(t *testing.T) {
		b := s.open(t, h)
		if _, err := b.ws.NetConn().Write(wire(text, []byte(`{"type":"resume"}`))); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { return b.closedWith(onsale.CloseBadFrame) })
	})
	t.Run("flood", func(t *testing.T) {
		b := s.open(t, h)
		for range 3 * maxRequestsPerSecond { // at least maxRequestsPerSecond of them fall in one second
			b.mu.Lock()
			err := b.ws.WriteJSON(onsale.FeedRequest{Type: onsale.FrameResume})
			b.mu.Unlock()
			if err != nil {
				break // closed already
			}
		}
		eventually(t, func() error { return b.closedWith(onsale.CloseBadFrame) })
	})
	eventually(t, func() error {
		if n := s.gateway.gate.open(); n > 0 {
			return fmt.Errorf("%d feeds are still open", n)
		}
		return nil
	})
}
