package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// shop is a system that speaks bench/peers/README.md, in memory, and may be broken.
type shop struct {
	oversells bool // by one
	forgets   bool // one hold, when it is counted
	refuses   bool // the last that there is
	noRepeats bool // gives another hold under the same key
	noLimits  bool
	twice     bool // gives the last but one to two

	mu       sync.Mutex
	capacity int64            // under mu
	limit    int64            // under mu
	given    map[string]int64 // under mu, by token and key
	counts   map[string]int64 // under mu, by token
	sold     int64            // under mu
}

func (s *shop) answer(c *fasthttp.RequestCtx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(c.Method()) {
	case http.MethodPut:
		var event struct {
			Capacity int64 `json:"capacity"`
			Limit    int64 `json:"max_per_buyer"`
		}
		if err := json.Unmarshal(c.PostBody(), &event); err != nil {
			c.SetStatusCode(http.StatusBadRequest)
			return
		}
		s.capacity, s.limit, s.given, s.counts, s.sold = event.Capacity, event.Limit, map[string]int64{}, map[string]int64{}, 0
		c.SetStatusCode(http.StatusNoContent)
	case http.MethodGet:
		sold := s.sold
		if s.forgets {
			sold--
		}
		c.SetBodyString(fmt.Sprintf(`{"sold":%d}`, sold))
	default:
		status, admission := s.hold(string(c.Request.Header.Peek("Authorization")), string(c.Request.Header.Peek("Idempotency-Key")))
		c.SetStatusCode(status)
		c.SetBodyString(fmt.Sprintf(`{"admission":%d}`, admission))
	}
}

func (s *shop) hold(token, key string) (status int, admission int64) { // under mu
	if given := s.given[token+" "+key]; given > 0 && !s.noRepeats {
		return http.StatusCreated, given
	}
	most := s.capacity
	if s.oversells {
		most++
	}
	if s.refuses {
		most--
	}
	if s.sold >= most || s.counts[token] >= s.limit && !s.noLimits {
		return http.StatusConflict, 0
	}
	s.sold++
	if s.twice && s.sold == s.capacity {
		return http.StatusCreated, s.sold - 1
	}
	s.counts[token]++
	s.given[token+" "+key] = s.sold
	return http.StatusCreated, s.sold
}

// sellerOf is a shop with a crowd of four wires.
func sellerOf(t *testing.T, handler fasthttp.RequestHandler) *seller {
	t.Helper()
	address := serveFor(t, handler)
	s := &seller{name: "shop", cpu: costs{}}
	var m measured
	api, err := newAPI("http://"+address, &m)
	if err == nil {
		s.book = peerBook{api}
		s.crowd, err = dialLoad(t.Context(), address, 4)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		api.close()
		if err := s.crowd.close(); err != nil {
			t.Error(err)
		}
	})
	for n := range 40 {
		s.tokens = append(s.tokens, fmt.Sprint("buyer", n))
	}
	return s
}

func TestASellerThatBreaksItsPromiseIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shop *shop
		want []string // one a violation
	}{
		"an honest one":         {&shop{}, nil},
		"one that oversells":    {&shop{oversells: true}, []string{"sold 101 of 100: oversold"}},
		"one that forgets":      {&shop{forgets: true}, []string{"told buyers of 100 holds, and has 99", "refused 4 requests, and has 1 left"}},
		"one that keeps some":   {&shop{refuses: true}, []string{"refused 4 requests, and has 1 left"}},
		"one that gives twice":  {&shop{twice: true}, []string{"gave 1 holds that others had been given: oversold"}},
		"one that hides it all": {&shop{oversells: true, forgets: true}, []string{"sold 101 of 100: oversold", "told buyers of 101 holds, and has 100"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sellerOf(t, c.shop.answer)
			of, err := s.open("arena", 100)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.ask(t.Context(), asking{of: of, part: "all", lasting: time.Minute, untilRefused: true})
			if err != nil || got.refused != 4 || got.busy != 0 || int64(len(got.waits)) != got.count() {
				t.Fatalf("the crowd is told %+v, %v", got.answers, err)
			}
			found, err := s.check(of)
			if err != nil || len(found) != len(c.want) {
				t.Fatalf("found %v, %v; want %v", found, err, c.want)
			}
			for i, v := range found {
				if v.Subject != "shop" || !strings.Contains(v.Detail, c.want[i]) {
					t.Errorf("found %v, want %q", v, c.want[i])
				}
			}
		})
	}
}

func TestAnExaminationFindsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, want := range []traits{{true, true}, {true, false}, {false, true}, {false, false}} {
		broken := &shop{noRepeats: !want.Repeats, noLimits: !want.Limits}
		s := sellerOf(t, broken.answer)
		if err := s.examine("examination"); err != nil || s.traits != want {
			t.Errorf("found %+v, %v; want %+v", s.traits, err, want)
		}
		if found, err := s.check(s.sales[0]); err != nil || len(found) > 0 {
			t.Errorf("%+v: the examination itself is taken for a broken promise: %v, %v", want, found, err)
		}
	}
}

func TestASellerThatAnswersOtherwiseEndsTheMeasurement(t *testing.T) {
	t.Parallel()
	s := sellerOf(t, func(c *fasthttp.RequestCtx) { c.SetStatusCode(http.StatusTeapot) })
	if _, err := s.ask(t.Context(), asking{of: &sale{event: "arena"}, part: "a", lasting: time.Minute}); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("the error is %v", err)
	}
	if err := s.examine("arena"); err == nil {
		t.Error("it passed the examination")
	}
}

func TestProcessesThatDescendAreFoundAndCirclesEnd(t *testing.T) {
	t.Parallel()
	parents := map[int]int{2: 1, 3: 2, 4: 3, 5: 1, 7: 8, 8: 7}
	for pid, want := range map[int]bool{2: true, 3: true, 4: true, 5: false, 1: false, 7: false} {
		if got := descends(pid, 2, parents); got != want {
			t.Errorf("%d descends of 2: %v", pid, got)
		}
	}
}
