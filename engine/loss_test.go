package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/internal/feedclient"
	"onsale/internal/stores"
	"onsale/internal/stores/storestest"
)

const arenaFile = `
id: arena
name: Arena
starts_at: 2030-01-01T20:00:00Z
currency: EUR
max_per_buyer: 4
sections:
  - {id: floor, kind: general, capacity: 1500, price: 5000}
  - {id: stand, kind: reserved, price: 8000, grid: {rows: 30, seats: 40}}
`

// stormBuyers is how many buy at a time in a storm: one request each.
const stormBuyers = 6

// storm is buyers who hold and pay, one after the other, for as long as it blows.
type storm struct {
	*house
	redis  *stores.Redis
	lost   bool // what was only held may be lost, and what is on its way at that moment rejected
	over   chan struct{}
	buyers sync.WaitGroup

	held, later atomic.Int64 // granted holds; 503s

	mu     sync.Mutex
	orders map[onsale.OrderID]string // under mu: accepted ones → their buyer's token
}

// loss is something that happens to Redis while people buy.
type loss struct {
	name   string
	loses  bool // stock is lost, and laid anew
	silent bool // no buyer notices
	strike func(s *storm)
	mend   func(s *storm)
}

func TestWhateverHappensToRedisNobodyIsOversoldKafka(t *testing.T) {
	for _, l := range []loss{
		{name: "wiped", loses: true, strike: func(s *storm) { s.tell("FLUSHALL") }},
		{name: "killed and empty", loses: true, strike: (*storm).kill, mend: (*storm).begin},
		{name: "killed and gone back in time", loses: true,
			strike: func(s *storm) {
				s.tell("SAVE")
				s.untilHeld(50) // these are not in what is read when it starts
				s.kill()
			},
			mend: (*storm).begin},
		{name: "scripts forgotten", silent: true, strike: func(s *storm) { s.tell("SCRIPT", "FLUSH") }},
		{name: "out of memory", strike: func(s *storm) { s.tell("CONFIG", "SET", "maxmemory", "1") },
			mend: func(s *storm) { s.tell("CONFIG", "SET", "maxmemory", "0") }},
		{name: "demoted for a while", loses: true, strike: func(s *storm) { s.tell("REPLICAOF", "127.0.0.1", "1") },
			mend: func(s *storm) { s.tell("REPLICAOF", "NO", "ONE") }},
		{name: "frozen", strike: func(s *storm) { s.signal(syscall.SIGSTOP) }, mend: func(s *storm) { s.signal(syscall.SIGCONT) }},
	} {
		t.Run(l.name, func(t *testing.T) { l.happen(t) })
	}
}

func (l loss) happen(t *testing.T) {
	t.Parallel()
	redis := storestest.PrivateRedis(t)
	s := &storm{house: newHouseOn(t, redis.URL(), "onsale"), redis: redis, lost: l.loses, over: make(chan struct{}),
		orders: map[onsale.OrderID]string{}}
	s.want(201, s.operator("POST", "/v1/admin/events", arenaFile), nil)
	s.want(200, s.operator("POST", "/v1/admin/events/arena/open", ""), nil)
	s.eventually("the arena is open", func() bool { return s.sale() == onsale.SaleOpen })
	w := s.watch()
	for range stormBuyers {
		s.buyers.Go(s.buy)
	}
	s.untilHeld(100)
	before := s.epoch()
	l.strike(s)
	if !l.silent && !l.loses {
		s.eventually("buyers are asked to come later", func() bool { return s.later.Load() > 0 })
	}
	if l.mend != nil {
		l.mend(s)
	}
	if l.loses {
		s.eventually("the stock is laid anew", func() bool { return s.epoch() > before && s.sale() == onsale.SaleOpen })
	}
	s.untilHeld(100) // it goes on, and nobody has pressed a button
	close(s.over)
	s.buyers.Wait()
	s.judge(l, w)
}

// judge looks at what has come of everything when all is over.
func (s *storm) judge(l loss, w *watcher) {
	s.t.Helper()
	if l.silent && s.later.Load() > 0 {
		s.t.Errorf("buyers were asked to come later %d times", s.later.Load())
	}
	var report onsale.AuditReport
	s.want(200, s.operator("GET", "/v1/admin/events/arena/audit?wait=60", ""), &report)
	if err := report.Err(); err != nil || len(report.Unchecked) > 0 {
		s.t.Errorf("audit: %v, unchecked %v", err, report.Unchecked)
	}
	rejected := 0
	for id, token := range s.orders {
		var order onsale.Order
		s.want(200, s.do("GET", "/v1/orders/"+string(id), token, ""), &order)
		if order.State == onsale.OrderRejected {
			rejected++
		} else if order.State != onsale.OrderTicketed {
			s.t.Errorf("order %s is %s", id, order.State)
		}
	}
	// Only a purchase that was between its pin and Kafka can find its seats sold to another.
	if rejected > 0 && (!l.loses || rejected > stormBuyers) {
		s.t.Errorf("%d of %d orders were rejected: they were granted what was sold", rejected, len(s.orders))
	}
	s.eventually("the feed shows what there is", func() bool { return w.shows(s.snapshot()) })
	if told := w.told(onsale.SaleRecovering); l.loses && !told {
		s.t.Error("the feed never said that the sale was recovering")
	} else if l.silent && told {
		s.t.Error("the feed said that the sale was recovering")
	}
	s.t.Logf("%d holds, %d orders, %d rejected, %d times 503", s.held.Load(), len(s.orders), rejected, s.later.Load())
}

func (s *storm) tell(words ...string) {
	s.t.Helper()
	check(s.t, s.house.redis.Do(s.t.Context(), s.house.redis.B().Arbitrary(words...).Build()).Error())
}

func (s *storm) signal(signal syscall.Signal) {
	s.t.Helper()
	check(s.t, syscall.Kill(s.redis.PID(), signal))
}

func (s *storm) kill() {
	s.signal(syscall.SIGKILL)
	if err := <-s.redis.Exited(); err == nil {
		s.t.Error("the killed server tells of no error")
	}
}

func (s *storm) begin() { check(s.t, s.redis.Start(s.t.Context())) }

// untilHeld waits for so many more holds.
func (s *storm) untilHeld(more int64) {
	s.t.Helper()
	from := s.held.Load()
	s.eventually("more is held", func() bool { return s.held.Load() >= from+more })
}

// buy is one buyer after the other: a hold, and for most a checkout.
func (s *storm) buy() {
	for {
		select {
		case <-s.over:
			return
		default:
		}
		token, key := s.signIn(), fmt.Sprint("key-", rand.Uint64())
		a := s.ask("/v1/events/arena/holds", token, `{"lines":[`+someLine()+`]}`, key)
		var hold onsale.Hold
		switch a.status {
		case 201:
			s.want(201, a, &hold)
			s.held.Add(1)
		case 409:
			if code := a.problem(s.t).Code; code != onsale.CodeSeatTaken && code != onsale.CodeSoldOut && code != onsale.CodeNotTogether {
				s.t.Errorf("refused a hold with %s", a.body)
			}
			continue
		default:
			s.t.Errorf("a hold was answered %d %s", a.status, a.body)
			return
		}
		if rand.IntN(4) == 0 {
			continue // thinks better of it
		}
		s.pay(token, hold)
	}
}

func (s *storm) pay(token string, hold onsale.Hold) {
	a := s.ask("/v1/holds/"+string(hold.ID)+"/checkout", token, `{"payment_token":"tok_ok"}`, "")
	switch {
	case a.status == 202:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.orders[hold.ID.Order()] = token
	case a.status == 410 && s.lost:
	default:
		s.t.Errorf("a checkout was answered %d %s", a.status, a.body)
	}
}

func someLine() string {
	switch rand.IntN(3) {
	case 0:
		return fmt.Sprintf(`{"section":"floor","quantity":%d}`, 1+rand.IntN(2))
	case 1:
		return `{"section":"stand","quantity":2}`
	}
	row := string(rune('A' + rand.IntN(26)))
	return fmt.Sprintf(`{"section":"stand","seats":["%s-%d"]}`, row, 1+rand.IntN(40))
}

// ask asks until it is answered otherwise than to come later.
func (s *storm) ask(path, token, body, key string) (a answer) {
	headers := []string{}
	if key != "" {
		headers = []string{"Idempotency-Key", key}
	}
	s.eventually("an answer other than 503", func() bool {
		if a = s.do("POST", path, token, body, headers...); a.status != 503 {
			return true
		}
		s.later.Add(1)
		if a.header.Get("Retry-After") == "" {
			s.t.Errorf("503 without Retry-After: %s", a.body)
		}
		return false
	})
	return a
}

func (s *storm) snapshot() (view onsale.FeedSnapshot) {
	s.t.Helper()
	s.want(200, s.do("GET", "/v1/events/arena/availability", "", ""), &view)
	return view
}

func (s *storm) sale() onsale.Sale {
	var e onsale.Event
	s.want(200, s.do("GET", "/v1/events/arena", "", ""), &e)
	return e.Sale
}

func (s *storm) epoch() onsale.Epoch { return s.snapshot().Epoch }

// watcher is a browser that only looks.
type watcher struct {
	mu    sync.Mutex
	fold  feedclient.Fold // under mu
	sales []onsale.Sale   // under mu: as they were shown, one after the other
}

// watch opens the arena's feed and reads it until the test ends.
func (s *storm) watch() *watcher {
	s.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{onsale.FeedProtocol}}
	ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(s.server.URL(), "http")+"/v1/events/arena/live", nil)
	check(s.t, err)
	w, done := &watcher{}, make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if err := w.take(data); err != nil {
				s.t.Error(err)
			}
		}
	}()
	s.t.Cleanup(func() { _ = ws.Close(); <-done })
	return w
}

func (w *watcher) take(data []byte) error {
	frame, err := feedclient.Parse(data)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	gap, err := w.fold.Apply(frame)
	if gap {
		err = errors.Join(err, errors.New("a frame is missing"))
	}
	if view := w.fold.View(); view != nil {
		err = errors.Join(err, feedclient.Check(view))
		if n := len(w.sales); n == 0 || w.sales[n-1] != view.Sale {
			w.sales = append(w.sales, view.Sale)
		}
	}
	return err
}

func (w *watcher) shows(want onsale.FeedSnapshot) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return feedclient.Differ(w.fold.View(), &want) == nil
}

func (w *watcher) told(sale onsale.Sale) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.sales, sale)
}
