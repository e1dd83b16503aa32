package holds

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// cutter stands between a desk and Redis, and breaks connections where it hurts: after
// Redis has got a command and before its answer has come back.
type cutter struct {
	url     string       // to be connected to instead of Redis
	swallow atomic.Int32 // how many answers are still to be lost, each with its connection
	target  string
	wg      sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn // under mu
	closed bool       // under mu
}

// newCutter stands before the Redis at the url until the test ends.
func newCutter(t testing.TB, redis string) *cutter {
	t.Helper()
	u, err := url.Parse(redis)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{target: u.Host}
	u.Host = listener.Addr().String()
	c.url = u.String()
	c.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		c.closed = true
		for _, conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

// keep closes the connection at the end; it returns false if that has come.
func (c *cutter) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return !c.closed
}

func (c *cutter) carry(client net.Conn) {
	defer client.Close()
	var dialer net.Dialer
	redis, err := dialer.DialContext(context.Background(), "tcp", c.target)
	if err != nil {
		return
	}
	defer redis.Close()
	if !c.keep(client) || !c.keep(redis) {
		return
	}
	c.wg.Go(func() {
		defer redis.Close()
		// Either end may be gone: that is what this is for.
		_, _ = io.Copy(redis, client)
	})
	answer := make([]byte, 16<<10)
	for {
		n, err := redis.Read(answer)
		if n > 0 && c.swallow.Load() > 0 && c.swallow.Add(-1) >= 0 {
			return
		}
		if _, broken := client.Write(answer[:n]); err != nil || broken != nil {
			return
		}
	}
}
