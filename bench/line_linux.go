package bench

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"onsale"
	"onsale/bench/rawfeed"
	"onsale/internal/feedclient"
)

// line is the connection of one watch in a loop, whose goroutine alone touches it. It does what
// watch.follow does with a connection of its own.
type line struct {
	loop   *loop
	watch  *watch
	fd     int // -1 while it has none
	slot   int32
	state  lineState
	fails  int  // how often it could not be opened, one time after the other
	again  bool // it was open before: what its buyer was told meanwhile it isn't told again
	shown  bool // this connection has come to a snapshot
	left   bool // nobody looks any more
	openAt time.Time
	due    time.Time // of the first snapshot: failed attempts are part of what it takes, and the wait for a turn, but for the very first; zero once it has come
	heard  time.Time
	from   onsale.FeedRequest // where the next connection goes on; zero for anew
	rest   []byte             // the beginning of a frame, or of the answer to the upgrade
}

type lineState uint8

const (
	lineClosed lineState = iota
	lineConnecting
	lineUpgrading
	lineLive
)

// farewell implements connection: the server, told goodbye, closes.
func (ln *line) farewell() {
	ln.loop.ask(func() {
		if ln.state == lineLive && rawfeed.Write(ln.fd, rawfeed.Goodbye) != nil {
			ln.lost(errors.New("closed by its buyer"))
		}
	})
}

// cut implements connection.
func (ln *line) cut() {
	ln.loop.ask(func() {
		if ln.state == lineLive {
			rawfeed.Abandon(ln.fd)
			ln.lost(errors.New("cut by its buyer"))
		}
	})
}

// leave closes the line for good.
func (ln *line) leave() {
	ln.left = true
	if ln.state == lineLive {
		_ = rawfeed.Write(ln.fd, rawfeed.Goodbye) // it is gone all the same
	}
	ln.end()
}

func (ln *line) connect() {
	l := ln.loop
	l.opening++
	ln.state, ln.heard, ln.shown = lineConnecting, l.now, false
	if ln.due.IsZero() { // its first: all come when there is room, before there is anything to buy
		ln.due = l.now
	}
	var err error
	if ln.fd, err = rawfeed.Dial(l.list.FD(), ln.slot, l.source, l.targets[int(ln.slot)%len(l.targets)]); err != nil {
		ln.lost(err)
	}
}

func (ln *line) connected() {
	l, path := ln.loop, ln.loop.path
	if ln.from.Epoch != 0 {
		path += fmt.Sprintf("?epoch=%d&seq=%d", ln.from.Epoch, ln.from.Seq)
	}
	ln.state = lineUpgrading
	if err := rawfeed.Dialed(l.list.FD(), ln.fd, ln.slot, rawfeed.Upgrade(l.hosts[int(ln.slot)%len(l.hosts)], path, l.protocol)); err != nil {
		ln.lost(err)
	}
}

// read takes what has come.
func (ln *line) read() {
	n, err := rawfeed.Read(ln.fd, ln.loop.buffer)
	if err != nil {
		ln.lost(fmt.Errorf("reading the feed: %w", err))
		return
	}
	ln.heard = ln.loop.now
	data := ln.loop.buffer[:n]
	if len(ln.rest) > 0 {
		data = append(ln.rest, data...)
		ln.rest = nil
	}
	if ln.state == lineUpgrading {
		data = ln.upgraded(data)
	}
	for ln.state == lineLive {
		opcode, payload, more, ok, err := rawfeed.Cut(data)
		if err != nil {
			ln.lost(ln.watch.broken(err))
			return
		}
		if !ok {
			break
		}
		data = more
		ln.take(opcode, payload)
	}
	if len(data) > 0 && ln.state != lineClosed {
		ln.rest = bytes.Clone(data)
	}
}

// upgraded reads the answer to the upgrade and returns what comes after it.
func (ln *line) upgraded(data []byte) []byte {
	answer, rest, after, err := rawfeed.ReadAnswer(data)
	switch answer {
	case rawfeed.Unfinished:
		return data
	case rawfeed.Upgraded:
		ln.greet()
		return rest
	case rawfeed.Busy:
		ln.watch.m.busy.Add(1)
		ln.end()
		ln.loop.again(ln, after)
		return nil
	}
	ln.lost(fmt.Errorf("opening the feed: %w", err))
	return nil
}

// greet makes the line live and says whose it is.
func (ln *line) greet() {
	w := ln.watch
	ln.state = lineLive
	w.mu.Lock()
	w.conn, w.since = ln, nil
	w.mu.Unlock()
	w.m.feeds.Add(1)
	if w.token == "" {
		return
	}
	ln.request(onsale.FeedRequest{Type: onsale.FrameAuth, Token: w.token})
}

// request sends a request on the feed, or ends the connection and returns false.
func (ln *line) request(r onsale.FeedRequest) bool {
	err := rawfeed.Write(ln.fd, rawfeed.Request(r))
	if err != nil {
		ln.lost(fmt.Errorf("sending %q on the feed: %w", r.Type, err))
	}
	return err == nil
}

// take handles one frame.
func (ln *line) take(opcode int, payload []byte) {
	switch opcode {
	case websocket.PingMessage:
		if err := rawfeed.Write(ln.fd, rawfeed.Client(websocket.PongMessage, payload)); err != nil {
			ln.lost(fmt.Errorf("answering a ping: %w", err))
		}
	case websocket.CloseMessage:
		ln.lost(fmt.Errorf("reading the feed: the server closes: %q", payload))
	case websocket.TextMessage:
		frame, err := ln.loop.parser.Parse(payload)
		ln.fold(frame, len(payload), err)
	case websocket.BinaryMessage:
		frame, err := ln.loop.parser.ParseBinary(payload)
		ln.fold(frame, len(payload), err)
	}
}

// fold folds a frame of the protocol, of so many bytes, unless it is none.
func (ln *line) fold(frame *feedclient.Frame, bytes int, err error) {
	w := ln.watch
	w.m.frames.Add(1)
	w.m.feedBytes.Add(int64(bytes))
	resume := false
	if err == nil {
		resume, err = w.take(frame)
	}
	if err != nil {
		ln.lost(w.broken(err))
		return
	}
	if resume {
		w.m.resumes.Add(1)
		w.mu.Lock()
		request := w.fold.Resume()
		w.mu.Unlock()
		if !ln.request(request) {
			return
		}
	}
	if !ln.shown && (frame.Snapshot != nil || frame.Step() != nil) { // what leads on, if it was taken up again
		ln.shown, ln.fails = true, 0
		ln.loop.opening--
		w.m.feedOpen.since(ln.due)
		ln.due = time.Time{}
		if ln.again {
			w.wakeBuyer()
		}
		ln.again = true
	}
}

// lost ends a connection that can't go on and opens it again: at once if its buyer wanted it
// to end, else after a pause.
func (ln *line) lost(err error) {
	w, lived := ln.watch, ln.state == lineLive
	ln.end()
	var onPurpose bool
	onPurpose, ln.from = w.ended(err)
	switch {
	case ln.left:
		return
	case onPurpose:
		ln.fails = 0
		ln.loop.open(ln, ln.loop.now)
		return
	case lived:
		w.m.dropped.Add(1)
	default:
		w.m.errors.Add(1)
		ln.loop.trouble(err)
		ln.fails++
	}
	ln.loop.again(ln, min(reopenPause<<min(ln.fails, 10), longestReopenPause))
}

// end closes the connection, if there is one.
func (ln *line) end() {
	if ln.state == lineClosed {
		return
	}
	if !ln.shown {
		ln.loop.opening--
	}
	if ln.state == lineLive {
		ln.watch.m.feeds.Add(-1)
	}
	if ln.fd >= 0 {
		_ = unix.Close(ln.fd) // which also takes it out of the epoll
	}
	ln.fd, ln.state, ln.rest = -1, lineClosed, nil
}
