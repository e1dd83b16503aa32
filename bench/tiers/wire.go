package tiers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"onsale/bench"
)

// wire is how many bytes of TCP's payload one hold takes: the request as Go's client writes it, and the
// answer. A browser sends some hundred bytes of headers more.
type wire struct{ ask, answer float64 }

// counted is a connection whose bytes are counted.
type counted struct {
	net.Conn
	in, out *atomic.Int64
}

// Read implements net.Conn.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// measureWire repeats one hold that was granted, under its key, and counts the bytes.
func (s *storm) measureWire(ctx context.Context) (wire, error) {
	var in, out atomic.Int64
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		return counted{conn, &in, &out}, err
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.house.fronts[0].URL+"/v1/events/"+string(s.eventOf(0))+"/holds",
		strings.NewReader(`{"lines":[{"section":"floor","quantity":1}]}`))
	if err != nil {
		return wire{}, fmt.Errorf("count a hold's bytes: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.buyers[0].token)
	req.Header.Set("Idempotency-Key", "hold")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return wire{}, fmt.Errorf("count a hold's bytes: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return wire{}, fmt.Errorf("count a hold's bytes: %w", err)
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return wire{}, &bench.ConfigError{Text: fmt.Sprintf("a hold that was granted reads as status %d", resp.StatusCode)}
	}
	return wire{ask: float64(out.Load()), answer: float64(in.Load())}, nil
}
