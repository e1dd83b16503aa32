package realtime

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestUpgradesAreWorkedOnAFewAtATime(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	const herd = 10
	for range cap(s.gateway.upgrades.tokens) {
		s.gateway.upgrades.tokens <- struct{}{} // as many as may be
	}
	opened := make(chan error, herd)
	for range herd {
		go func() {
			ws, err := s.dial("show")
			if err == nil {
				err = ws.Close()
			}
			opened <- err
		}()
	}
	eventually(t, func() error {
		if n := s.gateway.gate.open(); n < herd {
			return errors.New("not all have come")
		}
		return nil
	})
	for range 20 { // others are answered meanwhile
		if _, err := s.dial("nothing"); err == nil {
			t.Fatal("there is no such event")
		}
	}
	if n := s.gateway.Pending(); n != herd {
		t.Errorf("%d of %d are pending", n, herd)
	}
	if n := len(opened); n > 0 {
		t.Errorf("%d upgrades were answered beyond those that are worked on", n)
	}
	for range cap(s.gateway.upgrades.tokens) {
		<-s.gateway.upgrades.tokens
	}
	for range herd {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() error {
		if n := s.gateway.Pending(); n > 0 {
			return fmt.Errorf("%d are still pending", n)
		}
		return nil
	})
}

func TestUpgradesTakeNoMoreThanTheirShare(t *testing.T) {
	for share, want := range map[float64]time.Duration{0.25: 4 * time.Second, 1: time.Second, 1.5: 667 * time.Millisecond, 2: 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			u := newUpgrades(share)
			began := time.Now()
			var all sync.WaitGroup
			for range 1000 {
				u.pending.Add(1)
				all.Go(func() {
					end := u.begin()
					<-time.After(time.Millisecond) // of work
					end()
				})
			}
			all.Wait()
			if took := time.Since(began); took < want-20*time.Millisecond || took > want+20*time.Millisecond {
				t.Errorf("a second's work took %v with %v of a processor, want %v", took, share, want)
			}
			if n := u.pending.Load(); n != 0 {
				t.Errorf("%d are still pending", n)
			}
			<-time.After(leastRest + longestRest) // the last rest
		})
	}
}

func TestShortRestsAreTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpgrades(0.5) // rests as long as it works
		upgrade := func(work time.Duration) (rests bool) {
			u.pending.Add(1)
			end := u.begin()
			<-time.After(work)
			end()
			return len(u.tokens) > 0
		}
		const short = leastRest / 5
		for n := range 4 {
			if upgrade(short) {
				t.Fatalf("it rests after %d short upgrades", n+1)
			}
		}
		if !upgrade(short) {
			t.Fatal("what is owed isn't rested")
		}
		<-time.After(leastRest - 1)
		if synctest.Wait(); len(u.tokens) == 0 {
			t.Error("it has rested less than it owes")
		}
		<-time.After(1)
		if synctest.Wait(); len(u.tokens) > 0 {
			t.Error("it rests longer than it owes")
		}
		if !upgrade(leastRest) {
			t.Error("a long upgrade isn't rested after")
		}
		<-time.After(leastRest)
	})
}
