package bench

import (
	"errors"
	"fmt"
	"net"
	"time"
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
func (a *api) sendAndCut(r request) error {
	body, err := r.json()
	if err != nil {
		return err
	}
	conn, err := a.conns.dial()
	if err != nil {
		return fmt.Errorf("dialling for %s %s: %w", r.method, r.path, err)
	}
	if err = conn.SetDeadline(time.Now().Add(writeTimeout)); err == nil {
		_, err = conn.Write(appendAsk(nil, r.method, a.host, r.path, r.token, r.key, body))
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
func (b *buyer) loseRequest(r request) {
	b.inDoubt = true
	b.rush.m.requests.Add(1)
	if err := b.rush.api.sendAndCut(r); err != nil {
		b.rush.trouble(fmt.Errorf("losing a request: %w", err))
	} else {
		b.rush.m.cut.Add(1)
	}
	b.due = time.Now().Add(b.jitter(backOnline))
}
