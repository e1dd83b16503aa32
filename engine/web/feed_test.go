package web_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"onsale"
	"onsale/internal/feedclient"
)

// watchFeed opens a feed of its own in a page, as window.feed.
func watchFeed(t *testing.T, o *office) *tab {
	t.Helper()
	p := openTab(t, o.url, "/")
	p.eval(fmt.Sprintf(`import('/assets/feed.js').then(({ Feed }) => {
		window.feed = new Feed({ url: %s, random: () => 0.01 });
		feed.start();
	})`, quoted("ws"+strings.TrimPrefix(o.url, "http")+"/v1/events/arena-2027/live")))
	p.eventually("the feed is live", "feed.status === 'live'")
	return p
}

// seesTheOffice waits until the feed is where the office is, and compares all of it.
func seesTheOffice(t *testing.T, p *tab, o *office) {
	t.Helper()
	want := o.view()
	p.eventually("the feed has caught up", fmt.Sprintf("feed.status === 'live' && feed.stock.seq >= %d", want.Seq))
	got := value[onsale.FeedSnapshot](p, viewOf+"(feed.stock)")
	if err := feedclient.Differ(&got, &want); err != nil {
		t.Errorf("the browser's view differs from the office's: %v", err)
	}
}

func TestFeedThatLosesDeltasResumesAndEndsExact(t *testing.T) {
	o := newOffice(t, arena())
	p := watchFeed(t, o)
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "north", Seats: []string{"A-1", "A-2", "N-32"}})
	seesTheOffice(t, p, o)
	o.lose(2)
	o.others(onsale.SeatHeld, onsale.SeatSold, onsale.Line{Section: "north", Seats: []string{"A-1", "A-2"}})
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "floor", Quantity: 3})
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "south", Seats: []string{"BH-90"}})
	seesTheOffice(t, p, o)
	if resumed := o.sent("FEED resume"); len(resumed) != 1 {
		t.Errorf("the feed resumed %d times for one gap", len(resumed))
	}
}

func TestFeedFollowsARushExactly(t *testing.T) {
	o := newOffice(t, arena())
	p := watchFeed(t, o)
	random := rand.New(rand.NewPCG(7, 11))
	for i := range 400 {
		if i%50 == 20 {
			o.lose(random.IntN(4))
		}
		if i == 200 {
			o.closeFeeds(onsale.CloseTooSlow)
			p.eventually("the feed is open again", "feed.status === 'live'")
		}
		o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "south", Seats: []string{fmt.Sprintf("%c-%d", 'A'+i%20, i/20+1)}})
		if random.IntN(2) == 0 {
			o.others(onsale.SeatAvailable, onsale.SeatSold, onsale.Line{Section: "floor", Quantity: random.IntN(2)})
		}
	}
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "north", Seats: []string{"A-1"}}) // so that no gap is left unseen
	seesTheOffice(t, p, o)
}

func TestFeedComesBackWithinTheTimeThatARestartingServerAdvised(t *testing.T) {
	o := newOffice(t, arena())
	p := watchFeed(t, o)
	p.eval(`window.delays = []; const set = window.setTimeout; window.setTimeout = (then, ms) => { delays.push(ms); return set(then, ms); }`)
	o.closeFeeds(onsale.CloseRestarting)
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "floor", Quantity: 3})
	seesTheOffice(t, p, o)
	// 0.01 (the feed's dice) of 60 s, of which 30 s is the longest delay.
	if !value[bool](p, "delays.includes(300)") {
		t.Errorf("the feed waited %v ms, want 300: its part of what was advised", value[[]float64](p, "delays"))
	}
}

func TestStoppedFeedIsClosedForGood(t *testing.T) {
	o := newOffice(t, arena())
	p := watchFeed(t, o)
	p.eval("feed.stop()")
	p.eval("feed.stop()")
	eventually(t, "nobody watches", func() bool { return o.watching() == 0 })
	p.eval("dispatchEvent(new Event('online'))")
	p.eval("document.dispatchEvent(new Event('visibilitychange'))")
	o.others(onsale.SeatAvailable, onsale.SeatHeld, onsale.Line{Section: "floor", Quantity: 3})
	if seq := value[int](p, "feed.stock.seq"); seq != 0 || o.watching() != 0 {
		t.Errorf("a stopped feed went on to %d, with %d sockets", seq, o.watching())
	}
}

func TestPageThatIsLeftClosesItsFeed(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	if n := o.watching(); n != 1 {
		t.Fatalf("%d feeds are open, want 1", n)
	}
	p.eval("location.hash = '#/'")
	p.shows("h1", "Events")
	eventually(t, "nobody watches", func() bool { return o.watching() == 0 })
}

func TestFeedSignsInAgainWhenItsTokenIsRefused(t *testing.T) {
	o := newOffice(t, arena())
	p := openTab(t, o.url, "/")
	p.eval(`localStorage.setItem('onsale.session', JSON.stringify({ token: 'forged', buyer: 'x', expires_at: '2999-01-01T00:00:00Z' }))`)
	p.eval("location.hash = '#/events/arena-2027'")
	eventually(t, "a session is made", func() bool { return len(o.sent("POST /v1/sessions")) == 1 })
	p.shows(".live", "Live")
	eventually(t, "the feed is authenticated", func() bool { return len(o.sent("FEED auth")) >= 2 })
}

func TestPageLearnsFromTheFeedThatItsHoldHasEnded(t *testing.T) {
	o := newOffice(t, arena())
	p := openEvent(t, o)
	p.press("One more for Floor")
	p.press("Hold 1 ticket")
	p.shows(".panel h2", "Held for you")
	o.mu.Lock()
	var held onsale.Hold
	for _, hold := range o.holds {
		hold.ExpiresAt = o.now().Add(-time.Second) // as in another window that gave it back
		held = *hold
	}
	o.mu.Unlock()
	eventually(t, "the page has named its hold", func() bool { return len(o.sent("FEED hold "+string(held.ID))) == 1 })
	o.tellHold(held.Buyer, onsale.FeedHold{Hold: onsale.NewHoldID("arena-2027", 1), State: onsale.HoldExpired}) // of another tab
	o.tellHold(held.Buyer, onsale.FeedHold{Hold: held.ID, State: onsale.HoldExpired})
	p.shows(".panel", "Your time to pay is over")
	if asked := o.sent("GET /v1/holds/"); len(asked) != 1 {
		t.Errorf("asked %v, want about the page's own hold once", asked)
	}
}
