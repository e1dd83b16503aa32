package bench

import (
	"errors"
	"testing"
	"time"

	"onsale/internal/epoll"
)

// idleLoop is a loop without a goroutine and without room for anybody.
func idleLoop(t *testing.T) *loop {
	t.Helper()
	list, err := epoll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = list.Close() })
	return &loop{list: list, now: time.Now(), trouble: func(error) {}}
}

func lineOf(l *loop, m *measured) *line {
	w := newWatch(nil, nil, "", m, newLedger())
	return &line{loop: l, watch: w, fd: -1, state: lineLive, shown: true}
}

// The bench opens few feeds at once, which is no reason why a browser's would take less.
func TestAFeedThatIsOpenedAgainIsDueBeforeItsTurnComes(t *testing.T) {
	t.Parallel()
	l, m := idleLoop(t), new(measured)
	began := l.now
	closed, dropped := lineOf(l, m), lineOf(l, m)
	closed.watch.closing = true
	closed.lost(errors.New("closed by its buyer"))
	dropped.lost(errors.New("dropped by the server"))
	l.swept, l.now = l.now.Add(time.Hour), l.now.Add(time.Hour)
	l.work() // both wait for their turn now
	if len(l.unborn) != 2 || !closed.due.Equal(began) || !dropped.due.Equal(dropped.openAt) || !dropped.due.After(began) {
		t.Errorf("%d wait; due after %v and %v", len(l.unborn), closed.due.Sub(began), dropped.due.Sub(began))
	}
}

// A rush asks with its own lock held, and what a loop does may take that lock.
func TestALoopDoesWhatItIsAskedWithoutItsLock(t *testing.T) {
	t.Parallel()
	l := idleLoop(t)
	again := false
	l.ask(func() {
		if !l.mu.TryLock() {
			t.Error("the lock is held")
			return
		}
		l.mu.Unlock()
		l.ask(func() { again = true })
	})
	l.work()
	if l.work(); !again {
		t.Error("what was asked meanwhile wasn't done")
	}
}
