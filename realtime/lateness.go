package realtime

import (
	"context"
	"sync"
	"time"

	"onsale/internal/lifecycle"
)

// A client must give a sign of life, read what it is sent, and answer a close, each within its time. A
// timer for each of 150,000 connections would be most of what an idle one costs, so there is none: a
// connection remembers when its client was last heard, and the heartbeat, which passes everybody
// anyway, notes those whose time may be over before it passes again. Only they, until they are heard, and those
// who drain or close, are looked at in between. So an idle gateway looks at nobody.
//
// Who was owed news when the heartbeat passed, and so wasn't asked, is asked when it looks as if they won't take them. What ends late
// ends lateEvery late at the most, and nobody who has had no time to answer.
const lateEvery = 250 * time.Millisecond

// suspectsAhead is how far ahead the heartbeat looks, in heartbeats: to its next pass, which may be a bit late.
const suspectsAhead = 1.125

// answerPart is the part of a heartbeat that a client has at the least to answer in.
const answerPart = 3

// lateness has the connections that may be late soon.
type lateness struct {
	some chan struct{} // holds a token when there are such and there were none

	mu  sync.Mutex
	due map[*conn]time.Duration // under mu: by the gateway's clock
}

// note has a connection looked at then, and not at another time. Called under its mu.
func (l *lateness) note(c *conn, due time.Duration) {
	c.noted = true
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due == nil {
		l.due = map[*conn]time.Duration{}
		offer(l.some)
	}
	l.due[c] = due
}

// forget has a connection not looked at any more. Called under its mu.
func (l *lateness) forget(c *conn) {
	if !c.noted {
		return
	}
	c.noted = false
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.due, c); len(l.due) == 0 {
		l.due = nil // a map never shrinks
	}
}

// take forgets and returns those that are due, and says whether there are more.
func (l *lateness) take(now time.Duration) (due []*conn, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, at := range l.due {
		if at <= now {
			due = append(due, c)
			delete(l.due, c)
		}
	}
	if len(l.due) == 0 {
		l.due = nil
	}
	return due, l.due != nil
}

// lookForLate ends what is late, until ctx ends.
func (g *Gateway) lookForLate(ctx context.Context) {
	lifecycle.EveryWhile(ctx, g.lateness.some, lateEvery, func(context.Context) bool {
		now := g.clock()
		due, more := g.lateness.take(now)
		for _, c := range due {
			c.judge(now)
		}
		return more
	})
}

// clock is the time since the gateway was made. It never goes back.
func (g *Gateway) clock() time.Duration { return time.Since(g.born) }

// deadline is when the client will be late if it does nothing. Called under mu.
func (c *conn) deadline() time.Duration {
	silent := c.heard + c.hub.gateway.cfg.peerTimeout()
	switch {
	case c.closing != nil:
		return c.by
	case c.draining:
		return min(c.by, silent)
	}
	return silent
}

// await gives the client so much time to read, or to answer its close. Called under mu.
func (c *conn) await(within time.Duration) {
	g := c.hub.gateway
	c.by = g.clock() + within
	g.lateness.note(c, c.deadline())
}

// suspect has the client looked at if it may be late before the next heartbeat; one that hasn't been asked, in time to be. A heartbeat that
// passes late, since the machine is busy with other things, leaves the client its time to answer all the same. Called under mu.
func (c *conn) suspect() {
	g := c.hub.gateway
	now, ahead := g.clock(), time.Duration(suspectsAhead*float64(g.cfg.Heartbeat))
	due := c.deadline()
	if due >= now+ahead {
		return
	}
	switch answer := g.cfg.Heartbeat / answerPart; {
	case c.draining || c.closing != nil:
	case c.pinged:
		due = max(due, now+answer)
	default:
		due -= answer
	}
	g.lateness.note(c, due)
}

// judge ends the connection if its client is late: who hasn't read for too long is told so, in case it
// reads on within CloseGrace, and all others are gone. Who wasn't asked whether they are there, since they were owed news, is now.
func (c *conn) judge(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.hub.gateway
	c.noted = false // unless it was noted anew meanwhile: then it is looked at once more than it needs
	if !c.ended && !c.pinged {
		c.takes()
	}
	due := c.deadline()
	switch asked := c.pinged || c.draining || c.closing != nil; {
	case c.ended:
	case !asked && now >= due-g.cfg.Heartbeat/answerPart:
		c.askAnyway()
	case now < due:
		if c.draining || c.closing != nil {
			g.lateness.note(c, due)
		} // else it has been heard since, and the next heartbeat looks again
	case c.closing == nil && c.draining && now < c.heard+g.cfg.peerTimeout():
		c.shutLocked(tooSlow)
	case c.closing == nil && !c.draining && c.line.unread():
		g.lateness.note(c, now+lateEvery) // it is we who are late
	default:
		c.cutLocked()
	}
}
