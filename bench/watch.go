package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/internal/feedclient"
)

const (
	// feedSilence is how long nothing may come before a feed counts as dead.
	feedSilence = 90 * time.Second
	// feedWriteTimeout bounds the few bytes a client sends.
	feedWriteTimeout = 5 * time.Second
	// reopenPause is the mean pause before a feed that ended by itself is opened again;
	// it doubles with each failure, up to longestReopenPause.
	reopenPause        = 500 * time.Millisecond
	longestReopenPause = 8 * time.Second
)

// watch is one browser's feed. It opens it, folds it, and opens it again when it ends,
// until it is stopped. A person's goroutine looks at it; its own reads and writes it.
type watch struct {
	dialer *dialer
	token  string // whose orders it is told of; "" for nobody's
	m      *measured
	ledger *ledger

	ready chan struct{} // closed when the first snapshot is folded
	news  chan struct{} // holds one when an order came to its end, or that may have been missed

	remote bool                       // the server's clock may be another machine's: nothing is timed by it
	sight  *sight                     // shared by all feeds
	shown  func(*onsale.FeedSnapshot) // is told of each new view, under mu; nil for nobody

	left  context.Context // ends when nobody looks any more
	leave context.CancelFunc

	mu      sync.Mutex
	fold    feedclient.Fold             // under mu
	ends    map[onsale.OrderID]orderEnd // under mu: what it was told of its own orders
	conn    connection                  // under mu: nil while none is open
	closing bool                        // under mu: the buyer closes the feed to open it again
	lost    bool                        // under mu: its line was cut on purpose, to take it up again
	since   *onsale.FeedSnapshot        // under mu: what this connection showed last; nil before it showed anything
	err     error                       // under mu: why the last connection ended
}

// connection is what a watch does to its connection besides reading it. It is called from any goroutine.
type connection interface {
	farewell() // says goodbye and closes it
	cut()      // resets it without a word
}

// orderEnd is the end of an order, and when the feed told it.
type orderEnd struct {
	state onsale.OrderState
	at    time.Time
}

func newWatch(d *dialer, s *sight, token string, m *measured, l *ledger) *watch {
	w := &watch{dialer: d, sight: s, token: token, m: m, ledger: l,
		ready: make(chan struct{}), news: make(chan struct{}, 1), ends: map[onsale.OrderID]orderEnd{}}
	w.left, w.leave = context.WithCancel(context.Background())
	return w
}

// runUntilLeft keeps the feed open until ctx ends or it is left.
func (w *watch) runUntilLeft(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.left, cancel)()
	w.run(ctx)
}

// run keeps the feed open until ctx ends.
func (w *watch) run(ctx context.Context) {
	due := time.Now()           // of the next first snapshot: failed attempts are part of what it takes
	var from onsale.FeedRequest // where the next connection goes on
	for failures, again := 0, false; ; failures++ {
		conn, err := w.dialer.dial(ctx, from)
		if err == nil {
			var opened bool
			opened, err = w.follow(ctx, conn, due, again)
			again = true
			if opened {
				due = time.Time{}
			}
		}
		var onPurpose bool
		onPurpose, from = w.ended(err)
		switch {
		case ctx.Err() != nil:
			return
		case onPurpose:
			failures, due = -1, time.Now()
			continue
		case conn != nil:
			w.m.dropped.Add(1)
		case onsale.CodeOf(err) == onsale.CodeOverloaded:
			w.m.busy.Add(1)
		case onsale.CodeOf(err) == onsale.CodeUnknownEvent && !again:
			w.m.busy.Add(1) // a process may learn of a new event a second after it was made
		default:
			w.m.errors.Add(1)
		}
		pause := min(reopenPause<<min(failures, 10), longestReopenPause)
		if !waitUntil(ctx, time.Now().Add(pause/2+rand.N(pause))) {
			return
		}
		if due.IsZero() {
			due = time.Now()
		}
	}
}

// ended notes why a connection ended and reports whether the buyer wanted it to. The next one goes on from
// where this one was, unless the buyer loads the page anew.
func (w *watch) ended(err error) (onPurpose bool, from onsale.FeedRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.lost:
		w.m.cutFeeds.Add(1)
	case w.closing:
		w.m.reopened.Add(1)
	}
	onPurpose = w.closing || w.lost
	if !w.closing && w.fold.Current() {
		from = w.fold.Resume()
	}
	w.conn, w.closing, w.lost, w.err = nil, false, false, err
	return onPurpose, from
}

// follow reads one connection until it ends. It says why it did, and whether it came to
// its first snapshot, which is due from the given time on. After a feed that was cut the
// buyer is woken to ask for their order: what the feed told meanwhile it doesn't tell again.
func (w *watch) follow(ctx context.Context, conn *websocket.Conn, due time.Time, again bool) (opened bool, err error) {
	defer conn.Close() // whatever it was read for has been read
	stop := context.AfterFunc(ctx, socket{conn}.farewell)
	defer stop()
	w.mu.Lock()
	w.conn, w.since = socket{conn}, nil
	w.mu.Unlock()
	w.m.feeds.Add(1)
	defer w.m.feeds.Add(-1)

	if err := w.greet(conn); err != nil {
		return false, err
	}
	for {
		frame, err := w.read(conn)
		if err != nil {
			return opened, err
		}
		resume, err := w.take(frame)
		if err != nil {
			return opened, w.broken(err)
		}
		if resume {
			w.m.resumes.Add(1)
			if err := w.tell(conn, onsale.FeedRequest{Type: onsale.FrameResume}); err != nil {
				return opened, err
			}
		}
		if !opened && (frame.Snapshot != nil || frame.Step() != nil) { // what leads on, if it was taken up again
			opened = true
			w.m.feedOpen.since(due)
			if again {
				w.wakeBuyer()
			}
		}
	}
}

// greet makes the connection live: it answers pings, and says whose it is.
func (w *watch) greet(conn *websocket.Conn) error {
	if err := hearFurther(conn); err != nil {
		return fmt.Errorf("opening the feed: %w", err)
	}
	conn.SetPingHandler(func(data string) error {
		if err := hearFurther(conn); err != nil {
			return err
		}
		return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(feedWriteTimeout))
	})
	if w.token == "" {
		return nil
	}
	return w.tell(conn, onsale.FeedRequest{Type: onsale.FrameAuth, Token: w.token})
}

// hearFurther gives the server time until it must have said something again.
func hearFurther(conn *websocket.Conn) error {
	return conn.SetReadDeadline(time.Now().Add(feedSilence))
}

func (w *watch) tell(conn *websocket.Conn, r onsale.FeedRequest) error {
	if err := conn.SetWriteDeadline(time.Now().Add(feedWriteTimeout)); err != nil {
		return fmt.Errorf("sending %q on the feed: %w", r.Type, err)
	}
	if err := conn.WriteJSON(r); err != nil {
		return fmt.Errorf("sending %q on the feed: %w", r.Type, err)
	}
	return nil
}

func (w *watch) read(conn *websocket.Conn) (*feedclient.Frame, error) {
	_, r, err := conn.NextReader()
	if err == nil {
		err = hearFurther(conn)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	b := w.dialer.buffer.Get().(*bytes.Buffer)
	defer w.dialer.buffer.Put(b)
	b.Reset()
	if _, err := b.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	w.m.frames.Add(1)
	w.m.feedBytes.Add(int64(b.Len()))
	frame, err := w.dialer.parser.Parse(b.Bytes())
	if err != nil {
		return nil, w.broken(err)
	}
	return frame, nil
}

// broken records that a frame came whole and is not of the protocol (invariant 7). A
// connection that is lost breaks nothing: whoever opens it again is told all.
func (w *watch) broken(err error) error {
	w.m.errors.Add(1)
	w.ledger.violate(onsale.InvariantFeed, "a feed frame", "breaks the protocol: %v", err)
	return fmt.Errorf("following the feed: %w", err)
}

// take folds a frame. resume is true if it shows that one is missing.
func (w *watch) take(frame *feedclient.Frame) (resume bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.fold.View()
	resume, err = w.fold.Apply(frame)
	after := w.fold.View()
	if err == nil && after != before {
		w.sight.see(after, w.since)
		w.since = after
		if w.shown != nil {
			w.shown(after)
		}
	}
	switch {
	case err != nil:
	case frame.Delta != nil && after != before:
		if !w.remote {
			w.m.staleness.since(frame.Delta.At)
		}
	case frame.Snapshot != nil && before == nil:
		close(w.ready)
	case frame.Order != nil && frame.Order.State.Final():
		w.ends[frame.Order.Order] = orderEnd{frame.Order.State, time.Now()}
		w.wakeBuyer()
	}
	return resume, err
}

func (w *watch) wakeBuyer() {
	select {
	case w.news <- struct{}{}:
	default: // it holds one, which stands for both
	}
}

// view is what the feed shows now; it never changes. Nil before the first snapshot.
func (w *watch) view() *onsale.FeedSnapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fold.View()
}

// end returns what the feed told of an order's end.
func (w *watch) end(order onsale.OrderID) (orderEnd, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.ends[order]
	return e, ok
}

// lastError is why the last connection ended.
func (w *watch) lastError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// reopen closes the feed, as a person does who reloads the page; run opens it again.
func (w *watch) reopen() {
	w.mu.Lock()
	conn := w.conn
	w.closing = conn != nil
	w.mu.Unlock()
	if conn != nil {
		conn.farewell()
	}
}

// cut loses the line without a word: the connection is reset, and run takes the feed up again.
func (w *watch) cut() {
	w.mu.Lock()
	conn := w.conn
	w.lost = conn != nil
	w.mu.Unlock()
	if conn != nil {
		conn.cut()
	}
}

// socket is a connection of a watch that reads it itself.
type socket struct{ *websocket.Conn }

// cut implements connection.
func (s socket) cut() {
	if tcp, plain := s.NetConn().(*net.TCPConn); plain {
		_ = tcp.SetLinger(0) // else it is closed as politely as TCP does
	}
	_ = s.Close() // what it was good for, the next one is
}

// farewell implements connection. Either may fail: it's gone all the same.
func (s socket) farewell() {
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(feedWriteTimeout))
	_ = s.Close()
}
