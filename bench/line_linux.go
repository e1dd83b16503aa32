package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"onsale"
	"onsale/bench/wsframe"
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
	due    time.Time // of the first snapshot: failed attempts are part of what it takes; zero once it has come
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

// upgradeKey is any 16 bytes in base 64: nothing here checks the answer to it.
const upgradeKey = "b25zYWxlIGlzIHNvbGQuLg=="

var goodbyeFrame = wsframe.Goodbye

// farewell implements connection: the server, told goodbye, closes.
func (ln *line) farewell() {
	ln.loop.ask(func() {
		if ln.state == lineLive && writeFew(ln.fd, goodbyeFrame) != nil {
			ln.lost(errors.New("closed by its buyer"))
		}
	})
}

// cut implements connection.
func (ln *line) cut() {
	ln.loop.ask(func() {
		if ln.state == lineLive {
			// It can't fail on an open socket; if it did, the server would be told of the end.
			_ = unix.SetsockoptLinger(ln.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			ln.lost(errors.New("cut by its buyer"))
		}
	})
}

// leave closes the line for good.
func (ln *line) leave() {
	ln.left = true
	if ln.state == lineLive {
		_ = writeFew(ln.fd, goodbyeFrame) // it is gone all the same
	}
	ln.end()
}

func (ln *line) connect() {
	l := ln.loop
	l.opening++
	ln.state, ln.heard, ln.shown = lineConnecting, l.now, false
	if ln.due.IsZero() {
		ln.due = l.now
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		ln.lost(fmt.Errorf("making a socket: %w", err))
		return
	}
	ln.fd = fd
	if l.source != nil {
		// Ports are few: one is chosen only when both ends are known, so that others may have the same.
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, l.source))
	}
	if err == nil {
		if err = unix.Connect(fd, l.targets[int(ln.slot)%len(l.targets)]); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	}
	if err == nil {
		err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: ln.slot})
	}
	if err != nil {
		ln.lost(fmt.Errorf("connecting: %w", err))
	}
}

func (ln *line) connected() {
	failure, err := unix.GetsockoptInt(ln.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failure != 0 {
		err = unix.Errno(failure)
	}
	if err == nil {
		err = unix.EpollCtl(ln.loop.epoll, unix.EPOLL_CTL_MOD, ln.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: ln.slot})
	}
	if err == nil {
		ln.state = lineUpgrading
		err = writeFew(ln.fd, ln.upgrade())
	}
	if err != nil {
		ln.lost(fmt.Errorf("connecting: %w", err))
	}
}

// upgrade is the request that opens the feed.
func (ln *line) upgrade() []byte {
	path := ln.loop.path
	if ln.from.Epoch != 0 {
		path += fmt.Sprintf("?epoch=%d&seq=%d", ln.from.Epoch, ln.from.Seq)
	}
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + ln.loop.hosts[int(ln.slot)%len(ln.loop.hosts)] + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + onsale.FeedProtocol + "\r\nSec-WebSocket-Key: " + upgradeKey + "\r\n\r\n")
}

// writeFew writes a few bytes, which a socket that is alive takes at once.
func writeFew(fd int, p []byte) error {
	n, err := unix.Write(fd, p)
	if err == nil && n < len(p) {
		err = unix.EAGAIN
	}
	return err
}

// read takes what has come.
func (ln *line) read() {
	n, err := unix.Read(ln.fd, ln.loop.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		ln.lost(fmt.Errorf("reading the feed: %w", err))
		return
	case n == 0:
		ln.lost(errors.New("reading the feed: the server has closed it"))
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
		opcode, payload, more, ok, err := wsframe.Cut(data)
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
	head, rest, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	switch {
	case !ok && len(data) < readBytes:
		return data
	case bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")):
		ln.greet()
		return rest
	case bytes.HasPrefix(head, []byte("HTTP/1.1 503 ")):
		ln.watch.m.busy.Add(1)
		ln.end()
		ln.loop.again(ln, retryAfter(head))
		return nil
	}
	ln.lost(fmt.Errorf("opening the feed: the upgrade was answered %.100q", head))
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
	text, err := json.Marshal(r)
	if err == nil {
		err = writeFew(ln.fd, wsframe.Client(websocket.TextMessage, text))
	}
	if err != nil {
		ln.lost(fmt.Errorf("sending %q on the feed: %w", r.Type, err))
	}
	return err == nil
}

// retryAfter is what a 503 asks for, or a second.
func retryAfter(head []byte) time.Duration {
	if _, value, ok := bytes.Cut(head, []byte("\r\nRetry-After: ")); ok {
		text, _, _ := bytes.Cut(value, []byte("\r\n"))
		if seconds, err := strconv.Atoi(string(text)); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return time.Second
}

// take handles one frame.
func (ln *line) take(opcode int, payload []byte) {
	switch opcode {
	case websocket.PingMessage:
		if err := writeFew(ln.fd, wsframe.Client(websocket.PongMessage, payload)); err != nil {
			ln.lost(fmt.Errorf("answering a ping: %w", err))
		}
	case websocket.CloseMessage:
		ln.lost(fmt.Errorf("reading the feed: the server closes: %q", payload))
	case websocket.TextMessage:
		ln.text(payload)
	}
}

// text folds a frame of the protocol.
func (ln *line) text(payload []byte) {
	w := ln.watch
	w.m.frames.Add(1)
	w.m.feedBytes.Add(int64(len(payload)))
	frame, err := ln.loop.parser.Parse(payload)
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
		ln.loop.unborn = append(ln.loop.unborn, ln)
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
