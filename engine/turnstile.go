package engine

import (
	"sync"
	"time"
)

// How connections come in where there are feeds.
const (
	// arrivalsPerSecond is how many connections are accepted, whatever they are for: a
	// processor's worth. arrivalsBurst is how many without a pause, in which it shows what
	// they are: a herd's first handful is all that is taken for somebody else.
	arrivalsPerSecond = 50_000
	arrivalsBurst     = 64
	// feedsBurst is how much of a second's feeds may be let in at once.
	feedsBurst = 50 * time.Millisecond
	// mostDebt is how long feeds may keep everybody out, however many were let in unknown.
	mostDebt = time.Second
	// mostPending is how many may be on their way to become feeds; so many are looked at
	// again after pendingPause.
	mostPending  = 16
	pendingPause = time.Millisecond
)

// turnstile keeps a herd of feeds from being let in all at once. 150,000 browsers that
// lost their connections come back in the same seconds, and each costs many times what a
// hold costs; whoever is in the middle of buying must not wait for them. What may not
// come in yet is left in the kernel's queue, where it costs nothing. Beyond that queue
// the kernel has clients try again, ever later.
//
// What a connection is for is known only when it has asked. So all are counted as they
// are accepted, generously, and those that become feeds are charged for when they do:
// nobody comes in while feeds are in debt, or while more of them are pending than a slow
// or busy machine has come to. Who is in already waits for nothing here.
type turnstile struct {
	pending func() int // how many are on their way to become feeds

	mu       sync.Mutex
	arrivals bucket // under mu
	feeds    bucket // under mu; may be in debt
}

// newTurnstile lets in that many feeds a second.
func newTurnstile(feedsPerSecond float64, pending func() int, now time.Time) *turnstile {
	return &turnstile{pending: pending, arrivals: newBucket(arrivalsPerSecond, arrivalsBurst, now),
		feeds: newBucket(feedsPerSecond, feedsPerSecond*feedsBurst.Seconds(), now)}
}

// pass returns when the next connection may be accepted, or false when closed is. It
// is the accepting goroutine's. A nil turnstile lets everybody in.
func (t *turnstile) pass(closed <-chan struct{}) bool {
	if t == nil {
		return true
	}
	for {
		wait := t.ask(time.Now())
		if wait <= 0 {
			return true
		}
		select {
		case <-time.After(wait):
		case <-closed:
			return false
		}
	}
}

// ask lets a connection in, or returns how long until it may be asked again.
func (t *turnstile) ask(now time.Time) time.Duration {
	if t.pending() >= mostPending {
		return pendingPause
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := max(t.arrivals.until(now), t.feeds.until(now))
	if wait <= 0 {
		t.arrivals.level--
	}
	return wait
}

// charge is told that a connection has become a feed.
func (t *turnstile) charge() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.feeds.until(time.Now())
	t.feeds.level = max(t.feeds.level-1, -t.feeds.rate*mostDebt.Seconds())
}

// bucket is what may still happen at once; it fills up at a rate.
type bucket struct {
	rate  float64 // a second
	most  float64
	level float64 // below 1 nothing may happen
	at    time.Time
}

func newBucket(perSecond, burst float64, now time.Time) bucket {
	most := max(1, burst)
	return bucket{rate: perSecond, most: most, level: most, at: now}
}

// until brings the level up to date and returns how long it takes to come to 1.
func (b *bucket) until(now time.Time) time.Duration {
	if passed := now.Sub(b.at); passed > 0 {
		b.level = min(b.most, b.level+passed.Seconds()*b.rate)
		b.at = now
	}
	if b.level >= 1 {
		return 0
	}
	return time.Duration((1 - b.level) / b.rate * float64(time.Second))
}
