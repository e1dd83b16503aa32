package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/internal/feedclient"
)

// audience is viewers of one event who follow the protocol, and come back when their
// feed ends. What one is shown at a sequence all must be shown, by whichever process.
type audience struct {
	address string // of the feed
	viewers int
	stop    context.CancelFunc
	viewing sync.WaitGroup

	mu    sync.Mutex
	known map[position][]onsale.FeedSection // under mu: what was shown
	at    map[int]position                  // under mu: by viewer, the newest
	told  map[int]int                       // under mu: by viewer, how many of their feeds the server asked to come back
	cut   int                               // under mu: feeds that ended in any other way
	wrong error                             // under mu: the first thing that can't be
}

// position is a place in an event's sequence.
type position struct {
	epoch onsale.Epoch
	seq   uint64
}

// openAudience opens the viewers' feeds, until the test ends.
func openAudience(t *testing.T, url, event string, viewers int) *audience {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &audience{viewers: viewers, address: strings.Replace(url, "http", "ws", 1) + "/v1/events/" + event + "/live", stop: cancel,
		known: map[position][]onsale.FeedSection{}, at: map[int]position{}, told: map[int]int{}}
	for i := range viewers {
		a.viewing.Go(func() {
			for ctx.Err() == nil {
				a.view(ctx, i)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		a.viewing.Wait()
	})
	eventually(t, "every viewer sees the event", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.at) == viewers
	})
	return a
}

// view follows one feed until it ends.
func (a *audience) view(ctx context.Context, viewer int) {
	dialer := websocket.Dialer{Subprotocols: []string{onsale.FeedProtocol}}
	feed, answer, err := dialer.DialContext(ctx, a.address, nil)
	if answer != nil && err != nil {
		_ = answer.Body.Close() // of a refusal
	}
	if err != nil {
		select { // as clients come back: after a random time
		case <-time.After(rand.N(200 * time.Millisecond)):
		case <-ctx.Done():
		}
		return
	}
	defer feed.Close()
	defer context.AfterFunc(ctx, func() { _ = feed.Close() })()
	var fold feedclient.Fold
	for {
		_, data, err := feed.ReadMessage()
		if err != nil {
			a.ended(ctx, viewer, err)
			return
		}
		frame, err := feedclient.Parse(data)
		if err == nil {
			_, err = fold.Apply(frame)
		}
		a.shown(viewer, fold.View(), err)
	}
}

func (a *audience) ended(ctx context.Context, viewer int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var closed *websocket.CloseError
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &closed) && closed.Code == onsale.CloseRestarting:
		a.told[viewer]++
	default:
		a.cut++
	}
}

// shown notes what a viewer sees, and holds it against what others saw there.
func (a *audience) shown(viewer int, view *onsale.FeedSnapshot, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.wrong == nil {
		a.wrong = err
	}
	if view == nil {
		return
	}
	at := position{view.Epoch, view.Seq}
	a.at[viewer] = at
	if known, ok := a.known[at]; !ok {
		a.known[at] = view.Sections
	} else if !reflect.DeepEqual(known, view.Sections) && a.wrong == nil {
		a.wrong = errors.New("two viewers saw two things at one sequence")
	}
}

// endings are how many viewers the server has asked to come back, each counted once, and how many feeds ended
// in any other way.
func (a *audience) endings() (told, cut int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.told), a.cut
}

// agrees waits until every viewer is at the newest sequence that anyone has seen, each
// process having some of them, and fails the test if anything contradicted itself.
func (a *audience) agrees(t *testing.T, processes []string) {
	t.Helper()
	eventually(t, "every viewer has a feed again", func() bool {
		open := 0
		for _, own := range processes {
			open += metric(t, own, "onsale_feed_connections")
		}
		return open == a.viewers
	})
	eventually(t, "all viewers are at the same sequence", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		places := map[position]bool{}
		for _, at := range a.at {
			places[at] = true
		}
		return len(places) == 1
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wrong != nil {
		t.Error(a.wrong)
	}
}
