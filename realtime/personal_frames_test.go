package realtime

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"onsale"
)

var noon = time.Date(2027, 6, 5, 12, 0, 0, 0, time.UTC)

func TestOnlyTheBuyerIsToldOfTheirPlaceInTheQueue(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	phone, laptop, someone := s.open(t, h), s.openAs(t, h, onsale.FeedBinary, nil), s.open(t, h)
	s.signIn(t, phone, "buy_a")
	s.signIn(t, laptop, "buy_a")
	s.signIn(t, someone, "buy_b")
	place := onsale.FeedQueue{Event: "show", Position: 17, PacePerMinute: 600, At: noon}
	s.gateway.TellQueue("buy_a", place)
	s.gateway.TellQueue("buy_nobody", place)
	place.Type = onsale.FrameQueue
	told := func(b *browser, want ...onsale.FeedQueue) func() error {
		return func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if fmt.Sprint(b.queue) != fmt.Sprint(want) {
				return fmt.Errorf("told %+v, want %+v", b.queue, want)
			}
			return b.breach
		}
	}
	eventually(t, told(phone, place))
	eventually(t, told(laptop, place))
	s.gateway.TellQueue("buy_b", place) // what comes first shows that nothing came before
	eventually(t, told(someone, place))
}

func TestServerSaysWhyItEndsAFeedAndWhenToComeBack(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	for name, c := range map[string]struct {
		end  func(*stage, *browser)
		code int
		back bool // it is advised when to come back
	}{
		"restart":     {func(s *stage, _ *browser) { _ = s.gateway.Stop(t.Context()) }, onsale.CloseRestarting, true},
		"bad frame":   {func(_ *stage, b *browser) { b.send(t, onsale.FeedRequest{Type: "nonsense"}) }, onsale.CloseBadFrame, false},
		"bad token":   {func(_ *stage, b *browser) { b.send(t, onsale.FeedRequest{Type: onsale.FrameAuth, Token: "x"}) }, onsale.CloseUnauthenticated, false},
		"nobody's":    {func(_ *stage, b *browser) { b.send(t, onsale.FeedRequest{Type: onsale.FrameHold, Hold: "hld_x"}) }, onsale.CloseUnauthenticated, false},
		"unread news": {func(s *stage, b *browser) { s.connOf(t, b).shut(tooSlow) }, onsale.CloseTooSlow, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, h)
			b := s.open(t, h)
			eventually(t, b.sees)
			c.end(s, b)
			eventually(t, func() error { return b.closedWith(c.code) })
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.bye == nil || b.bye.Code != c.code || b.bye.Reason == "" || (b.bye.RetryWithinMs > 0) != c.back {
				t.Errorf("said %+v before it closed with %d", b.bye, c.code)
			}
		})
	}
}

func TestTokenInTheHeaderSignsInAndCookiesDoNot(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	script := s.openAs(t, h, onsale.FeedProtocol, header("Authorization", "Bearer token of buy_a"))
	eventually(t, func() error { return s.watching("buy_a", 1) })
	mine := news("buy_a")
	s.gateway.TellOrder(mine)
	eventually(t, func() error { return script.heard(mine) })

	for _, bad := range []string{"Bearer forged", "Basic token of buy_a", "token of buy_a"} {
		if _, err := s.dialAs(onsale.FeedProtocol, "show", header("Authorization", bad)); onsale.CodeOf(err) != onsale.CodeUnauthenticated {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, cookie := range []string{"token=token of buy_a", "Authorization=Bearer token of buy_a"} {
		b := s.openAs(t, h, onsale.FeedProtocol, header("Cookie", cookie))
		eventually(t, b.sees)
	}
	if err := s.watching("buy_a", 1); err != nil {
		t.Errorf("with a cookie: %v", err)
	}
	script.leave()
	eventually(t, func() error { return s.watching("buy_a", 0) })
}

var errNotTold = errors.New("nothing is told")
