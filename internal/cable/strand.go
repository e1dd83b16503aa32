package cable

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// strand is one connection: the client's half and the server's.
type strand struct {
	cable  *Cable
	client net.Conn
	target string
	ended  chan struct{} // closed by reset: nothing is waited for any more

	mu     sync.Mutex
	server net.Conn // under mu; nil until it is dialled
	over   bool     // under mu: it was reset
}

// run carries the bytes until both directions have ended.
func (s *strand) run(ctx context.Context) {
	defer s.cable.remove(s)
	defer s.reset() // unless it has ended in good order
	if !s.wait(ctx) {
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(ctx, "tcp", s.target)
	if err != nil || !s.join(server) {
		return // the client is reset: nobody is there
	}
	var both sync.WaitGroup
	both.Go(func() { s.carry(ctx, server, s.client) })
	both.Go(func() { s.carry(ctx, s.client, server) })
	both.Wait()
	s.end(false) // what is under way to either end still arrives
}

// join notes the server's half. It returns false if the strand was cut meanwhile.
func (s *strand) join(server net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = server.Close() // nothing was sent on it
		return false
	}
	s.server = server
	return true
}

// carry passes on what comes in at one end, piece by piece, as the weather lets it. An
// orderly end is passed on too; any other resets both halves.
func (s *strand) carry(ctx context.Context, to, from net.Conn) {
	piece := make([]byte, pieceBytes)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if !s.wait(ctx) || !s.dawdle(ctx, n) {
				s.reset()
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				s.reset()
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if half, ok := to.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				s.reset()
			}
			return
		case err != nil:
			s.reset()
			return
		}
	}
}

// wait returns true when nothing is blocked, false when the strand is over.
func (s *strand) wait(ctx context.Context) bool {
	for {
		weather, changed := s.cable.now()
		if !weather.Blocked {
			return true
		}
		select {
		case <-changed:
		case <-s.ended:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// dawdle takes the time that so many bytes take. Better weather ends it at once.
func (s *strand) dawdle(ctx context.Context, n int) bool {
	weather, changed := s.cable.now()
	d := weather.Delay
	if weather.Rate > 0 {
		d += time.Duration(n) * time.Second / time.Duration(weather.Rate)
	}
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-s.ended:
		return false
	case <-ctx.Done():
		return false
	}
	return s.wait(ctx)
}

// reset ends both halves as a broken network does. Twice is fine.
func (s *strand) reset() { s.end(true) }

func (s *strand) end(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	close(s.ended)
	for _, half := range []net.Conn{s.client, s.server} {
		if half == nil {
			continue
		}
		if tcp, ok := half.(*net.TCPConn); ok && broken {
			_ = tcp.SetLinger(0) // closing then sends a reset; if it fails it is closed all the same
		}
		_ = half.Close()
	}
}
