package tiers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/bench/rawfeed"
	"onsale/internal/feedclient"
)

const (
	// connectWithin is how long a feed may take until its first snapshot.
	connectWithin = 30 * time.Second
	// meetWithin is how long the feeds may take to show what the server shows.
	meetWithin = 30 * time.Second
)

// watcher is one browser's feed of the striped event.
type watcher struct {
	feed   int // of which process
	parser *feedclient.Parser
	conn   *websocket.Conn
	ready  chan struct{} // closed at the first view

	mu     sync.Mutex
	client feedclient.Client // under mu
	err    error             // under mu: why it ended, if not by us
}

// connect opens the feeds, at the processes in turn, and returns when each shows something.
func (s *storm) connect(ctx context.Context, n int) error {
	parser, dialer := &feedclient.Parser{}, &websocket.Dialer{HandshakeTimeout: connectWithin, Subprotocols: []string{onsale.FeedProtocol}}
	for i := range n {
		feed := i % len(s.house.feeds)
		url := "ws" + strings.TrimPrefix(s.house.feeds[feed].URL, "http") + "/v1/events/" + string(s.events[0]) + "/live"
		conn, resp, err := dialer.DialContext(ctx, url, nil)
		if resp != nil {
			_ = resp.Body.Close() // the connection is conn's
		}
		if err != nil {
			return fmt.Errorf("open feed %d: %w", i, err)
		}
		conn.SetReadLimit(rawfeed.MaxFrameBytes)
		w := &watcher{feed: feed, parser: parser, conn: conn, ready: make(chan struct{})}
		s.watchers = append(s.watchers, w)
		s.watching.Go(context.Background(), w.run)
	}
	late := time.After(connectWithin)
	for i, w := range s.watchers {
		select {
		case <-w.ready:
		case <-late:
			_, err := w.view()
			return errors.Join(fmt.Errorf("feed %d shows nothing after %v", i, connectWithin), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// run reads until the connection ends, or ctx.
func (w *watcher) run(ctx context.Context) {
	defer w.conn.Close() // whatever it was read for has been read
	defer context.AfterFunc(ctx, func() { _ = w.conn.Close() })()
	for {
		_, data, err := w.conn.ReadMessage()
		if err == nil {
			err = w.take(data)
		}
		if err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
	}
}

func (w *watcher) take(data []byte) error {
	frame, err := w.parser.Parse(data)
	if err != nil {
		return err
	}
	w.mu.Lock()
	first := w.client.View() == nil
	_, request, err := w.client.Take(frame)
	if first && w.client.View() != nil {
		close(w.ready)
	}
	w.mu.Unlock()
	if err == nil && request != nil {
		err = w.conn.WriteJSON(request)
	}
	return err
}

// view is what the browser shows, and why it has ended if it has.
func (w *watcher) view() (*onsale.FeedSnapshot, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.client.View(), w.err
}

// meet holds every browser to what every front shows, at the same number of the same epoch.
func (s *storm) meet(ctx context.Context) error {
	first, err := s.house.view(0, s.events[0])
	if err != nil {
		return err
	}
	for front := range s.house.fronts {
		if err := until(ctx, meetWithin, "the fronts show the same", func() (bool, error) {
			view, err := s.house.view(front, s.events[0])
			return err == nil && view.Seq == first.Seq && view.Epoch == first.Epoch && feedclient.Differ(view, first) == nil, err
		}); err != nil {
			s.ledger.broken(onsale.InvariantFeed, fmt.Sprintf("front %d", front+1), "%v", err)
		}
	}
	for i, w := range s.watchers {
		err := until(ctx, meetWithin, "the feed shows what the server shows", func() (bool, error) {
			view, err := w.view()
			return view.Seq == first.Seq && view.Epoch == first.Epoch, err
		})
		view, _ := w.view()
		if err == nil {
			err = errors.Join(feedclient.Differ(view, first), feedclient.Check(view))
		}
		if err != nil {
			s.ledger.broken(onsale.InvariantFeed, fmt.Sprintf("feed %d, of process %d", i, w.feed+1), "%v", err)
			continue
		}
		s.ledger.exact++
	}
	return nil
}

// leave closes every feed.
func (s *storm) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
	defer cancel()
	return s.watching.Stop(ctx)
}
