package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// A person whose line goes dead has sent a request and never hears what was done. They come
// back and ask for the same again, under the same key, which must have one effect.

const (
	// writeTimeout bounds the sending of a request on a connection that is then cut.
	writeTimeout = 5 * time.Second
	// backOnline is the mean time until a line that went dead is there again.
	backOnline = 300 * time.Millisecond
)

// sendAndCut sends a request on a connection of its own and resets that before an answer
// can come. Whether it was done, nobody knows.
func (a *api) sendAndCut(ctx context.Context, r request) (err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	if err := a.write(r, req); err != nil {
		return err
	}
	var conn net.Conn
	if a.client.IsTLS {
		conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", a.client.Addr)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", a.client.Addr)
	}
	if err != nil {
		return fmt.Errorf("dialling for %s %s: %w", r.method, r.path, err)
	}
	err = conn.SetDeadline(time.Now().Add(writeTimeout))
	out := bufio.NewWriter(conn)
	if err == nil {
		err = errors.Join(req.Write(out), out.Flush())
	}
	if tcp, plain := conn.(*net.TCPConn); plain { // a reset, as of a machine that is gone
		err = errors.Join(err, tcp.SetLinger(0))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("cutting off %s %s: %w", r.method, r.path, err)
	}
	return nil
}

// loseRequest is a sending that its buyer never hears of again. Their next one is due when they
// are back. A server that couldn't even be reached has lost nothing: the one that follows tells.
func (b *buyer) loseRequest(ctx context.Context, r request) {
	b.inDoubt = true
	b.rush.m.requests.Add(1)
	if err := b.rush.api.sendAndCut(ctx, r); err != nil {
		b.rush.trouble(fmt.Errorf("losing a request: %w", err))
	} else {
		b.rush.m.cut.Add(1)
	}
	b.due = time.Now().Add(b.jitter(backOnline))
}
