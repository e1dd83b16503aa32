package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestAnAlarmWakesEverybodyAndNobodyEarly(t *testing.T) {
	t.Parallel()
	var a alarm
	for round := range 2 { // the second after the goroutine has ended
		var crowd sync.WaitGroup
		for range 500 {
			due := time.Now().Add(rand.N(50*time.Millisecond) - 5*time.Millisecond)
			crowd.Go(func() {
				<-a.at(due)
				if early := time.Until(due); early > 0 {
					t.Errorf("woken %v early", early)
				}
			})
		}
		crowd.Wait()
		for deadline := time.Now().Add(10 * time.Second); a.isStriking(); <-time.After(alarmTick) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: it strikes on for nobody", round)
			}
		}
	}
}

func (a *alarm) isStriking() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.strikes || len(a.bells) > 0
}

func TestWhoIsDueTogetherSharesABell(t *testing.T) {
	t.Parallel()
	var a alarm
	due := time.Now().Add(time.Second)
	defer a.wake()
	bell := a.at(due)
	if bell != a.at(due) {
		t.Error("two bells for one moment")
	}
	if bell == a.at(due.Add(2*alarmTick)) {
		t.Error("one bell for two moments")
	}
}

func TestWhoWaitsForAnAlarmIsWokenWhenAllIsOver(t *testing.T) {
	t.Parallel()
	var a alarm
	ctx, cancel := context.WithCancel(t.Context())
	defer context.AfterFunc(ctx, a.wake)()
	slept := make(chan bool)
	go func() { slept <- a.until(ctx, time.Now().Add(time.Hour)) }()
	<-time.After(2 * alarmTick)
	a.wake() // for another reason: it waits on
	cancel()
	if <-slept {
		t.Error("an hour has passed")
	}
	if !a.until(t.Context(), time.Now().Add(alarmTick)) {
		t.Error("it wasn't waited for")
	}
}
