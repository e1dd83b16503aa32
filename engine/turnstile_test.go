package engine

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/realtime"
)

func nobody() int { return 0 }

func TestNobodyComesInWhileUpgradesAreBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		behind := func() int { // for two seconds
			return 2*mostPending - int(time.Since(began)/time.Second)*mostPending/2 - 1
		}
		gate := newTurnstile(1000, behind, began)
		gate.pass(nil)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("let in after %v", took)
		}
	})
}

func TestAHerdOfFeedsIsLetInAtItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate, herd = 1000, 5000
		began := time.Now()
		gate := newTurnstile(rate, nobody, began)
		for range herd {
			if !gate.pass(nil) {
				t.Fatal("closed")
			}
			gate.charge()
		}
		// The first second's burst and the last one's debt are all that may differ.
		burst := rate * feedsBurst.Seconds()
		if took, want := time.Since(began).Seconds(), (herd-burst)/rate; took < want-0.1 || took > want+0.1 {
			t.Errorf("%d feeds took %.2f s, want %.2f s", herd, took, want)
		}
	})
}

func TestWhoBuysIsntLetInAtTheRateOfFeeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		gate := newTurnstile(1, nobody, began)
		for range 10_000 {
			gate.pass(nil)
		}
		if took := time.Since(began); took > 10_000*time.Second/arrivalsPerSecond {
			t.Errorf("10,000 connections that became no feeds took %v", took)
		}
	})
}

func TestFeedsInDebtKeepEverybodyOutForABoundedTime(t *testing.T) {
	t.Parallel()
	for feeds, want := range map[int]time.Duration{5: 600 * time.Millisecond, 1000: 1100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			gate := newTurnstile(10, nobody, time.Now())
			for range feeds { // accepted before it was known what they are
				gate.charge()
			}
			began := time.Now()
			gate.pass(nil)
			if took := time.Since(began); took < want-150*time.Millisecond || took > want+time.Millisecond {
				t.Errorf("the debt of %d feeds at 10 a second was paid after %v, want %v", feeds, took, want)
			}
			closed := make(chan struct{})
			close(closed)
			for gate.pass(closed) { // until it would wait
				gate.charge()
			}
		})
	}
}

// A connection that is kept alive when the server stops brings one more request, and is
// told that it was the last; a request that was on its way isn't lost.
func TestAStoppingServerAnswersOnWhatIsOpenOnceMore(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{Linger: time.Minute}).start(t)
	const request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	kept := e.say(t, request)
	if response, _ := hear(t, kept, "GET"); response == nil || response.Close {
		t.Fatalf("answered %+v", response)
	}
	stopped := make(chan error, 1)
	var stopping sync.WaitGroup
	stopping.Go(func() { stopped <- e.Stop(t.Context()) })
	<-e.listener.ended
	if _, err := io.WriteString(kept, request); err != nil {
		t.Fatal(err)
	}
	if response, _ := hear(t, kept, "GET"); response == nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("answered %+v", response)
	}
	stopping.Wait() // nobody is left to linger for
	check(t, <-stopped)
}

// still is the source of an event where nothing happens.
type still struct{}

func (still) Watch(context.Context, *onsale.Layout, realtime.Listener) (func(), error) {
	return func() {}, nil
}

func TestAFeedIsChargedAtTheDoorAndWhatIsRefusedIsNot(t *testing.T) {
	t.Parallel()
	event := &onsale.Event{ID: "show", Name: "A night", Currency: "EUR", StartsAt: time.Now(),
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 1, Capacity: 1}}}
	check(t, event.Complete())
	gateway := must(realtime.New(realtime.Config{Source: still{}, Verify: func(string) (onsale.BuyerID, error) { return "", nil },
		Lookup: func(context.Context, onsale.EventID) (*onsale.Layout, error) { return onsale.NewLayout(event), nil }}))
	check(t, gateway.Start(t.Context()))
	t.Cleanup(func() { check(t, gateway.Stop(context.Background())) })
	e := newEdge(t, Config{FeedsPerSecond: 1e-9, Gateway: gateway}) // a burst of one, and then none in our time
	e.router = newRouter([]route{{"GET", "/v1/events/{event}/live", anyone, 0, e.watch}}, e.tally)
	e.start(t)
	level := func() float64 {
		e.listener.gate.mu.Lock()
		defer e.listener.gate.mu.Unlock()
		return e.listener.gate.feeds.level
	}
	if response, _ := e.ask(t, "GET", "/v1/events/show/live", ""); response.StatusCode != http.StatusBadRequest || level() < 1 {
		t.Errorf("no upgrade is answered %d, and %v feeds may come", response.StatusCode, level())
	}
	dialer := websocket.Dialer{Subprotocols: []string{onsale.FeedProtocol}}
	feed, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(e.URL(), "http")+"/v1/events/show/live", nil)
	check(t, err)
	_ = response.Body.Close()
	t.Cleanup(func() { _ = feed.Close() })
	eventually(t, "the feed is charged", func() bool { return level() < 1 })
}
