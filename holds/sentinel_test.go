package holds

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"onsale"
)

// askAgain is how long a buyer of a stampede waits after a refusal.
const askAgain = 20 * time.Millisecond

// stampede is buyers who ask for one admission each, over and over, until it is told
// to stop. It counts who was told that he has one.
type stampede struct {
	h    *house
	stop context.CancelFunc
	wg   sync.WaitGroup
	n    atomic.Int64 // buyers so far

	mu      sync.Mutex
	granted map[onsale.Epoch]map[onsale.HoldID]bool // under mu
	later   int                                     // under mu: answers that said to ask again
}

func (h *house) stampede(buyers int) *stampede {
	ctx, stop := context.WithCancel(h.t.Context())
	s := &stampede{h: h, stop: stop, granted: map[onsale.Epoch]map[onsale.HoldID]bool{}}
	for range buyers {
		s.wg.Go(func() {
			for ctx.Err() == nil {
				if !s.ask() {
					pause(ctx, askAgain)
				}
			}
		})
	}
	h.t.Cleanup(s.end)
	return s
}

func (s *stampede) end() { s.stop(); s.wg.Wait() }

// ask reports whether it was granted.
func (s *stampede) ask() bool {
	hold, err := s.h.hold(onsale.BuyerID(fmt.Sprint("buy_", s.n.Add(1))), "", floor(1))
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused *onsale.Error
	switch {
	case err == nil:
		_, epoch, _ := hold.ID.Parse()
		if s.granted[epoch] == nil {
			s.granted[epoch] = map[onsale.HoldID]bool{}
		}
		s.granted[epoch][hold.ID] = true
	case !errors.As(err, &refused):
		s.h.t.Errorf("a buyer is told %v", err)
	case refused.Code == onsale.CodeSoldOut:
	case refused.RetryAfter > 0:
		s.later++
	default:
		s.h.t.Errorf("a buyer is told %v", err)
	}
	return err == nil
}

func (s *stampede) toldLater() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.later
}

// grants is how many were told that they have a hold of an epoch.
func (s *stampede) grants(epoch onsale.Epoch) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.granted[epoch])
}

const sentinelFloor = 3000

// sentinelHouse is an event on a master that has two replicas and three Sentinels.
func sentinelHouse(t *testing.T) (h *house, servers, sentinels []*redisServer, url string, amiss chan onsale.EventID, f *folder) {
	t.Helper()
	master := startRedis(t, "--repl-diskless-sync-delay", "0")
	servers = []*redisServer{master, startRedis(t), startRedis(t)}
	for _, replica := range servers[1:] {
		replica.follow(master)
	}
	sentinels, url = startSentinels(t, master)
	h = houseOn(t, url, func(e *onsale.Event) { e.Sections[0].Capacity = sentinelFloor })
	amiss = make(chan onsale.EventID, 1)
	f = h.watch(h.mirrors(func(event onsale.EventID) {
		select {
		case amiss <- event:
		default:
		}
	}))
	return h, servers, sentinels, url, amiss, f
}

func TestAMasterThatDiesUnderLoadIsSucceededAndNothingIsOversold(t *testing.T) {
	t.Parallel()
	h, servers, _, url, amiss, f := sentinelHouse(t)
	far := h.watchFrom(url)
	s := h.stampede(16)
	eventually(t, "some have got in", func() bool { return s.grants(testEpoch) > 100 })
	for _, replica := range servers[1:] {
		replica.signal(syscall.SIGSTOP) // so that the last writes are lost
	}
	had := s.grants(testEpoch)
	eventually(t, "more have got in", func() bool { return s.grants(testEpoch) > had+100 })
	servers[0].kill()
	for _, replica := range servers[1:] {
		replica.signal(syscall.SIGCONT)
	}
	<-amiss // the mirror has asked the new master, which runs since another time
	c, err := h.desk.Condition(t.Context(), h.layout.Event.ID)
	if err != nil || c.Whole() || c.SameRun {
		t.Errorf("condition %+v, %v", c, err)
	}
	before, told := s.grants(testEpoch), s.toldLater()
	eventually(t, "buyers are told to ask again", func() bool { return s.toldLater() > told+50 })
	h.relay(testEpoch + 1)
	eventually(t, "the house is full", func() bool { return h.counts("floor").Available == 0 })
	s.end()
	h.agrees(f)
	h.agrees(far)
	if n := s.grants(testEpoch); n != before {
		t.Errorf("%d were granted by a master that has lost what others were granted", n-before)
	}
	for _, epoch := range []onsale.Epoch{testEpoch, testEpoch + 1} {
		if n := s.grants(epoch); n > sentinelFloor {
			t.Errorf("%d of %d were granted in epoch %d", n, sentinelFloor, epoch)
		}
	}
	t.Logf("granted: %d, then %d of %d; told to ask again: %d", s.grants(testEpoch), s.grants(testEpoch+1), sentinelFloor, s.later)
}

// relay lays the stock anew, again and again until it is done.
func (h *house) relay(epoch onsale.Epoch) {
	h.t.Helper()
	var err error
	eventually(h.t, "the stock is laid", func() bool {
		if err = h.desk.BeginRebuild(h.t.Context(), h.layout, epoch); err == nil || errors.Is(err, ErrSuperseded) {
			err = h.desk.FinishRebuild(h.t.Context(), h.layout, epoch, onsale.SaleOpen, nil)
		}
		return err == nil
	})
}

func TestAMasterThatIsDemotedUnderLoadIsLeft(t *testing.T) {
	t.Parallel()
	h, _, sentinels, _, amiss, f := sentinelHouse(t)
	s := h.stampede(16)
	eventually(t, "some have got in", func() bool { return s.grants(testEpoch) > 100 })
	sentinels[0].tell("SENTINEL", "FAILOVER", "sale") // the master lives, and goes on answering
	eventually(t, "buyers are told to ask again", func() bool { return s.toldLater() > 0 })
	<-amiss
	h.relay(testEpoch + 1)
	eventually(t, "the house is full", func() bool { return h.counts("floor").Available == 0 })
	s.end()
	h.agrees(f)
	if n := s.grants(testEpoch + 1); n > sentinelFloor {
		t.Errorf("%d of %d were granted after the change", n, sentinelFloor)
	}
}
