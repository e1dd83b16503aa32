package realtime

import "syscall"

// writer offers frames to sockets and never waits for one: it writes as much as
// the socket's buffer takes at once and says what is left. That is what lets a
// few goroutines serve all connections, and none of them be held up by a client
// that doesn't read. It also counts, so that a pass over thousands of connections
// touches the shared counters once. Owned by whoever took it from the pool.
type writer struct {
	attempt func(fd uintptr) bool // tryOnce, made once: it would be an allocation a write
	rest    []byte                // what attempt shall write, then what is left of it
	err     error                 // what attempt ran into

	frames [kinds]int
	bytes  int
}

// offer writes what the socket takes of p and returns the rest. It doesn't keep
// p. raw may be nil, for a connection that can't be written to without waiting
// (TLS): the rest is then all of p.
func (w *writer) offer(raw syscall.RawConn, p []byte) (rest []byte, err error) {
	if raw == nil {
		return p, nil
	}
	w.rest, w.err = p, nil
	err = raw.Write(w.attempt)
	if err == nil {
		err = w.err
	}
	rest = w.rest
	w.rest = nil
	return rest, err
}

func (w *writer) count(f *frame) {
	w.frames[f.kind]++
	w.bytes += len(f.wire)
}

// writer takes a writer from the pool.
func (g *Gateway) writer() *writer {
	if w, ok := g.writers.Get().(*writer); ok {
		return w
	}
	w := &writer{}
	w.attempt = w.tryOnce
	return w
}

// done adds what w has written to the metrics and puts it back.
func (g *Gateway) done(w *writer) {
	for k, n := range w.frames {
		if n > 0 {
			g.meters.frames[k].Add(n)
		}
	}
	g.meters.bytes.Add(w.bytes)
	w.frames, w.bytes = [kinds]int{}, 0
	g.writers.Put(w)
}
