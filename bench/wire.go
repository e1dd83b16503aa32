package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// wire is one keep-alive connection whose user asks, waits for the answer and asks
// again. It is made to cost little, because what it costs is taken from the server:
// both share the machine. So a request is written whole, from one buffer, and an
// answer is read by its Content-Length and not decoded.
type wire struct {
	conn net.Conn
	in   []byte // what has come; an answer lies in it until the next is asked for
}

// The bounds of a wire.
const (
	wireBuffer   = 8 << 10 // the longest answer
	wirePatience = 20 * time.Second
)

var errLongAnswer = fmt.Errorf("an answer is longer than %d bytes or has no Content-Length", wireBuffer)

func dialWire(ctx context.Context, address string) (*wire, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return &wire{conn: conn, in: make([]byte, wireBuffer)}, nil
}

// ask sends a request and returns its answer's status and body, which are good until
// the next call.
func (w *wire) ask(request []byte) (status int, body []byte, err error) {
	if _, err := w.conn.Write(request); err != nil {
		return 0, nil, fmt.Errorf("asking: %w", err)
	}
	have := 0
	for {
		n, err := w.conn.Read(w.in[have:])
		have += n
		if status, body, ok := parseAnswer(w.in[:have]); ok {
			return status, body, nil
		}
		if err != nil {
			return 0, nil, fmt.Errorf("waiting for the answer: %w", err)
		}
		if have == len(w.in) {
			return 0, nil, errLongAnswer
		}
	}
}

var (
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// parseAnswer reads an HTTP/1.1 answer, if all of it is there.
func parseAnswer(in []byte) (status int, body []byte, ok bool) {
	end := bytes.Index(in, headEnd)
	if end < len("HTTP/1.1 200") {
		return 0, nil, false
	}
	for _, digit := range in[9:12] {
		status = 10*status + int(digit-'0')
	}
	head, length := in[:end+2], 0
	if at := bytes.Index(head, contentLength); at >= 0 {
		for _, digit := range head[at+len(contentLength):] {
			if digit < '0' || digit > '9' {
				break
			}
			length = 10*length + int(digit-'0')
		}
	} else if status != 204 {
		return 0, nil, false
	}
	body = in[end+len(headEnd):]
	if len(body) < length {
		return 0, nil, false
	}
	return status, body[:length], true
}

// load is a crowd of wires to one server.
type load struct {
	wires  []*wire
	server *Server // whose
}

func dialLoad(ctx context.Context, address string, connections int) (*load, error) {
	l := &load{}
	for range connections {
		w, err := dialWire(ctx, address)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.wires = append(l.wires, w)
	}
	return l, nil
}

func (l *load) close() error {
	var errs []error
	for _, w := range l.wires {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(errs...)
}

// errNoMore says that a crowd has nothing more to ask.
var errNoMore = errors.New("no more to ask")

// drive lets every wire ask, one request after the other, until the time is over or
// there is no more to ask, and returns the answers a second. next appends the wire's
// next request to a buffer; judge says whether its answer is what it should be. Both
// are called by many wires at once.
func (l *load) drive(ctx context.Context, lasting time.Duration,
	next func(wire int, to []byte) ([]byte, error), judge func(wire, status int, body []byte) error) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lasting)
	defer cancel()
	answers, errs := make([]int64, len(l.wires)), make([]error, len(l.wires))
	start := time.Now()
	deadline := start.Add(lasting)
	var crowd sync.WaitGroup
	for i, w := range l.wires {
		crowd.Go(func() {
			if errs[i] = w.conn.SetDeadline(deadline.Add(wirePatience)); errs[i] != nil {
				return
			}
			var request []byte
			for ctx.Err() == nil {
				var status int
				var body []byte
				if request, errs[i] = next(i, request[:0]); errs[i] != nil {
					return
				}
				if status, body, errs[i] = w.ask(request); errs[i] == nil {
					errs[i] = judge(i, status, body)
				}
				if errs[i] != nil {
					return
				}
				answers[i]++
			}
		})
	}
	crowd.Wait()
	took := time.Since(start)
	total := int64(0)
	for i := range answers {
		total += answers[i]
		if errs[i] != nil && !errors.Is(errs[i], errNoMore) {
			err = errors.Join(err, errs[i])
		}
	}
	return float64(total) / took.Seconds(), err
}

// appendRequest appends a JSON POST to a buffer.
func appendRequest(to []byte, path, token, key string, body []byte) []byte {
	to = append(append(append(to, "POST "...), path...), " HTTP/1.1\r\nHost: onsale\r\nContent-Type: application/json\r\n"...)
	if token != "" {
		to = append(append(append(to, "Authorization: Bearer "...), token...), "\r\n"...)
	}
	if key != "" {
		to = append(append(append(to, "Idempotency-Key: "...), key...), "\r\n"...)
	}
	to = append(to, "Content-Length: "...)
	to = strconv.AppendInt(to, int64(len(body)), 10)
	return append(append(to, "\r\n\r\n"...), body...)
}
