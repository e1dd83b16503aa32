package feed

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onsale"
	"onsale/bench/rawfeed"
	"onsale/internal/feedclient"
)

// The tasks of a crowd. Each begins at once, and is asked after every turn of the loop
// whether it is done.

// fillings is how many snapshots a feed that stops reading has asked for: more than its
// buffers take, and fewer than the server lets a client ask for in a second.
const fillings = 18

// again asks to go on from nowhere: it is answered with a snapshot.
var again = rawfeed.Request(onsale.FeedRequest{Type: onsale.FrameResume})

// begin begins a task and returns what asks whether it is done.
func (c *crowd) begin(t task) (done func() *outcome) {
	switch t.Do {
	case doOpen:
		return c.beginOpen(t)
	case doClose:
		for _, cl := range c.bare {
			c.cut(cl)
		}
		c.bare = nil
		return at(&outcome{})
	case doArm:
		c.round, c.bareOn, c.marks = max(c.round, -c.round)+1, t.Bare, c.marks[:0]
		if !t.Bare {
			c.mirrorFeeds()
		}
		return at(&outcome{})
	case doCollect:
		return c.beginCollect(t)
	case doDeafen:
		return at(c.deafen(t.Count))
	case doRouse:
		return c.rouse()
	case doHerd:
		c.abreast = t.Abreast
		for _, cl := range c.feeds {
			if cl.state != closed {
				c.cut(cl)
				c.unborn = append(c.unborn, cl)
			}
		}
		return c.allOpen
	case doChurn:
		c.churn, c.churned = float64(t.Count), 0
		if t.Count > 0 {
			return at(&outcome{})
		}
		return c.allBack
	case doTake:
		return at(c.takeSeen())
	case doCheck:
		return at(c.check(t.View))
	}
	return at(&outcome{Error: "a crowd has no such task"})
}

// at is done at once.
func at(o *outcome) func() *outcome { return func() *outcome { return o } }

func failed(err error) *outcome { return &outcome{Error: err.Error()} }

// allOpen is done when every connection is.
func (c *crowd) allOpen() *outcome {
	if c.open < len(c.feeds) || c.steady < len(c.bare) {
		return nil
	}
	return &outcome{Count: c.open}
}

// allBack is allOpen once nobody is on the way out any more: who has said goodbye is open
// until the server closes.
func (c *crowd) allBack() *outcome {
	if slices.ContainsFunc(c.feeds, func(cl *client) bool { return cl.going }) {
		return nil
	}
	return c.allOpen()
}

func (c *crowd) beginOpen(t task) func() *outcome {
	source, err := netip.ParseAddr(t.Source)
	if err != nil {
		return at(failed(err))
	}
	var targets []*unix.SockaddrInet4
	for _, host := range t.Targets {
		a, err := netip.ParseAddrPort(host)
		if err != nil {
			return at(failed(err))
		}
		targets = append(targets, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())})
	}
	from := &unix.SockaddrInet4{Addr: source.As4()}
	c.abreast = t.Abreast
	if t.Path != "" {
		c.path, c.protocol = t.Path, t.Protocol
	}
	for n := range t.Count {
		cl := &client{bare: t.Path == "", source: from, target: targets[n%len(targets)], host: t.Targets[n%len(targets)]}
		if cl.bare {
			cl.slot = int32(-1 - len(c.bare))
			c.bare = append(c.bare, cl)
		} else {
			cl.slot = int32(len(c.feeds))
			c.feeds = append(c.feeds, cl)
		}
		c.unborn = append(c.unborn, cl)
	}
	return c.allOpen
}

// mirrorFeeds has each bare socket stand where a feed stands that is about to have an update:
// when a floor sends the same bytes later, they fit, and what they cost a client is the same.
func (c *crowd) mirrorFeeds() {
	for i, cl := range c.bare[:min(len(c.bare), len(c.feeds))] {
		cl.fold = c.feeds[i].fold
	}
}

// beginCollect is done when every connection that reads has the update, or it is clear
// that some won't.
func (c *crowd) beginCollect(t task) func() *outcome {
	deadline := time.Now().Add(collectWithin).UnixNano()
	all := c.feeds
	if c.bareOn {
		all = c.bare
	}
	want := 0
	for _, cl := range all {
		if !cl.deaf {
			want++
		}
	}
	return func() *outcome {
		if len(c.marks) < want && c.now < deadline {
			return nil
		}
		took := newTimes()
		o := &outcome{Count: len(c.marks), Frame: c.newest}
		for _, m := range c.marks {
			took.note(m - t.Since)
			o.Last = max(o.Last, m)
		}
		c.round = -c.round // rests until the next doArm
		var err error
		if o.Took, err = took.encode(); err != nil {
			return failed(err)
		}
		return o
	}
}

// deafen has the first feeds stop reading. Each first asks for more than its buffers hold,
// so that from then on the server can't write to it.
func (c *crowd) deafen(count int) *outcome {
	o := &outcome{}
	for _, cl := range c.feeds {
		if o.Count == count {
			break
		}
		if cl.state != live || cl.deaf {
			continue
		}
		if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, cl.fd, nil); err != nil {
			return failed(err)
		}
		cl.deaf = true
		// What was promised to the server stays so, but it is promised no more.
		if err := unix.SetsockoptInt(cl.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0); err != nil {
			return failed(err)
		}
		for range fillings {
			if err := rawfeed.Write(cl.fd, again); err != nil {
				break // it is closed; rousing it will tell
			}
		}
		o.Count++
	}
	return o
}

// rouse cuts those that don't read and opens them anew.
func (c *crowd) rouse() func() *outcome {
	for _, cl := range c.feeds {
		if cl.deaf {
			c.cut(cl)
			c.unborn = append(c.unborn, cl)
		}
	}
	return c.allOpen
}

// churnOne has the next feed leave, politely or not, and come back.
func (c *crowd) churnOne() {
	for range c.feeds {
		c.churnNext = (c.churnNext + 1) % len(c.feeds)
		cl := c.feeds[c.churnNext]
		if cl.state != live || cl.deaf || cl.going {
			continue
		}
		if c.churnNext%2 == 0 && rawfeed.Write(cl.fd, rawfeed.Goodbye) == nil {
			cl.going = true // the server closes, and lost opens it again
			return
		}
		c.cut(cl)
		c.unborn = append(c.unborn, cl)
		return
	}
}

func (c *crowd) takeSeen() *outcome {
	o := &outcome{Count: c.open, Deltas: c.deltas, Gaps: c.gaps, Dropped: c.dropped, Refused: c.refused, Failed: c.seen.failed,
		Opened: c.opened, Why: c.why, Broken: c.broken}
	var errs [2]error
	o.Delivery, errs[0] = c.delivery.encode()
	o.Stale, errs[1] = c.stale.encode()
	if err := errors.Join(errs[:]...); err != nil {
		return failed(err)
	}
	c.reset()
	return o
}

// check counts the feeds whose view is the server's, and names what differs in others.
// Clients that are in step share a view, which is compared once.
func (c *crowd) check(server *onsale.FeedSnapshot) *outcome {
	o := &outcome{}
	differs := map[*onsale.FeedSnapshot]error{}
	for _, cl := range c.feeds {
		view := cl.fold.View()
		err, known := differs[view]
		if !known {
			if err = feedclient.Differ(view, server); err == nil {
				err = feedclient.Check(view)
			}
			differs[view] = err
		}
		if cl.state != live || !cl.fold.Current() {
			err = fmt.Errorf("not open, or in a gap (%d)", cl.state)
		}
		if err == nil {
			o.Count++
		} else if len(o.Broken) < maxBroken {
			o.Broken = append(o.Broken, fmt.Sprintf("%.200s", err)) // it may show a whole section
		}
	}
	return o
}
