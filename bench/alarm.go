package bench

import (
	"context"
	"sync"
	"time"
)

// alarmTick is how exact an alarm is: nobody is woken early, nor later than this, but for what the machine adds.
const alarmTick = 2 * time.Millisecond

// An alarm wakes a crowd: who is due in the same tick waits on the same channel, and one goroutine closes it. With a
// timer of their own for everybody who thinks, and for each request that may have to wait for a connection, waiting was
// seen to be an eighth of what a storm's crowd costs. The zero value is ready. Safe for concurrent use.
type alarm struct {
	mu      sync.Mutex
	began   time.Time               // under mu: tick 0; zero before anybody has waited
	next    int64                   // under mu: the tick that is struck next
	bells   map[int64]chan struct{} // under mu: those that somebody waits for, or has waited for, by their tick
	strikes bool                    // under mu: the goroutine is there
}

// at returns a channel that is closed when the time has come.
func (a *alarm) at(due time.Time) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.began.IsZero() {
		a.began, a.bells = now, map[int64]chan struct{}{}
	}
	if !a.strikes {
		a.strikes = true
		a.next = a.tick(now)
		go a.strike() // ends when no bell is left
	}
	n := max(a.tick(due.Add(alarmTick-1)), a.next)
	bell := a.bells[n]
	if bell == nil {
		bell = make(chan struct{})
		a.bells[n] = bell
	}
	return bell
}

// tick is the last one that is over at the time. Called under mu.
func (a *alarm) tick(at time.Time) int64 { return int64(at.Sub(a.began) / alarmTick) }

func (a *alarm) strike() {
	for a.strikeUntil(time.Now()) {
		time.Sleep(alarmTick)
	}
}

// strikeUntil wakes all who are due by now. It returns false if no bell is left, after which the caller ends.
func (a *alarm) strikeUntil(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for last := a.tick(now); a.next <= last; a.next++ {
		if bell := a.bells[a.next]; bell != nil {
			close(bell)
			delete(a.bells, a.next)
		}
	}
	a.strikes = len(a.bells) > 0
	return a.strikes
}

// wake wakes everybody at once, and ends the goroutine.
func (a *alarm) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, bell := range a.bells {
		close(bell)
		delete(a.bells, n)
	}
}

// until returns when the time has come; true unless ctx ends before. Somebody has to see to it that the alarm wakes
// everybody then: who waits for both, each by itself, leaves tens of thousands in one queue, and to leave that takes long.
func (a *alarm) until(ctx context.Context, at time.Time) bool {
	for ctx.Err() == nil {
		if time.Until(at) <= 0 {
			return true
		}
		bell := a.at(at)
		if ctx.Err() != nil { // they may have been woken before this one was there
			return false
		}
		<-bell
	}
	return false
}
