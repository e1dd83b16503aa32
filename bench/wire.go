package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	out  []byte // room for a request
}

// The bounds of a wire.
const (
	wireBuffer     = 8 << 10 // for an answer, at first
	maxAnswerBytes = 4 << 20
	wirePatience   = 20 * time.Second
)

var errLongAnswer = fmt.Errorf("an answer is longer than %d bytes", maxAnswerBytes)

func dialWire(ctx context.Context, address string) (*wire, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return newWire(conn), nil
}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, in: make([]byte, wireBuffer)} }

// answer is what a wire was answered, good until it is asked again.
type answer struct {
	status     int
	head, body []byte // head ends with its last line's end
}

// ask sends a request and returns its answer.
func (w *wire) ask(request []byte) (answer, error) {
	if _, err := w.conn.Write(request); err != nil {
		return answer{}, fmt.Errorf("asking: %w", err)
	}
	if len(w.in) > wireBuffer { // one long answer is no reason to keep its room
		w.in = make([]byte, wireBuffer)
	}
	have := 0
	for {
		n, err := w.conn.Read(w.in[have:])
		have += n
		a, ok := parseAnswer(w.in[:have])
		switch {
		case ok:
			return a, nil
		case a.status != 0 && a.unmeasured():
			return w.readUnmeasured(have)
		case err != nil:
			return answer{}, fmt.Errorf("waiting for the answer: %w", err)
		case have == maxAnswerBytes:
			return answer{}, errLongAnswer
		case have == len(w.in):
			w.in = append(w.in, make([]byte, min(len(w.in), maxAnswerBytes-have))...)
		}
	}
}

// readUnmeasured reads an answer that doesn't say how long it is, of which so many bytes have come. Onsale
// gives none, but what stands before another server may.
func (w *wire) readUnmeasured(have int) (answer, error) {
	whole, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(w.in[:have])), w.conn)), nil)
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	defer whole.Body.Close()
	body, err := io.ReadAll(io.LimitReader(whole.Body, maxAnswerBytes))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	a, _ := parseAnswer(w.in[:have])
	a.body = body
	return a, nil
}

var (
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
	retryAfter    = []byte("\r\nRetry-After: ")
	closing       = []byte("\r\nConnection: close\r\n")
)

// parseAnswer reads an HTTP/1.1 answer. ok is false while it isn't all there: then it has a status if
// its head is.
func parseAnswer(in []byte) (a answer, ok bool) {
	end := bytes.Index(in, headEnd)
	if end < len("HTTP/1.1 200") {
		return answer{}, false
	}
	for _, digit := range in[9:12] {
		a.status = 10*a.status + int(digit-'0')
	}
	a.head = in[:end+2]
	length := a.number(contentLength)
	if a.unmeasured() {
		return a, false
	}
	a.body = in[end+len(headEnd):]
	if len(a.body) < length {
		return a, false
	}
	a.body = a.body[:max(length, 0)]
	return a, true
}

// unmeasured reports whether the head doesn't say how long the body is.
func (a *answer) unmeasured() bool { return a.status != 204 && a.number(contentLength) < 0 }

// last reports whether nothing more can be asked on the connection.
func (a *answer) last() bool { return bytes.Contains(a.head, closing) || a.unmeasured() }

// number is a field's of the head, or -1.
func (a *answer) number(field []byte) int {
	at := bytes.Index(a.head, field)
	if at < 0 {
		return -1
	}
	n, digits := 0, 0
	for _, digit := range a.head[at+len(field):] {
		if digit < '0' || digit > '9' || digits == 9 {
			break
		}
		n, digits = 10*n+int(digit-'0'), digits+1
	}
	if digits == 0 {
		return -1
	}
	return n
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
				if request, errs[i] = next(i, request[:0]); errs[i] != nil {
					return
				}
				var a answer
				if a, errs[i] = w.ask(request); errs[i] == nil {
					errs[i] = judge(i, a.status, a.body)
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
	return appendAsk(to, "POST", "onsale", path, token, key, body)
}

// appendAsk appends a request to a buffer, with a body of JSON if it has one.
func appendAsk(to []byte, method, host, path, token, key string, body []byte) []byte {
	for _, text := range [...]string{method, " ", path, " HTTP/1.1\r\nHost: ", host, "\r\nUser-Agent: onsale-bench\r\n"} {
		to = append(to, text...)
	}
	if token != "" {
		to = append(append(append(to, "Authorization: Bearer "...), token...), "\r\n"...)
	}
	if key != "" {
		to = append(append(append(to, "Idempotency-Key: "...), key...), "\r\n"...)
	}
	if len(body) > 0 {
		to = append(to, "Content-Type: application/json\r\n"...)
	}
	if method != "GET" {
		to = append(to, "Content-Length: "...)
		to = append(strconv.AppendInt(to, int64(len(body)), 10), "\r\n"...)
	}
	return append(append(to, "\r\n"...), body...)
}
