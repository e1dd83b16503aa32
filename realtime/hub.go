package realtime

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onsale"
	"onsale/internal/lifecycle"
)

// hub follows one event for all who watch it. It holds the stock twice: as the
// source says that it is, and as the frames sent so far have told it. On each
// tick it sends the difference, however many deltas have gathered: that is the
// conflation, and it makes a gap in the source, or a seat that came and went
// within a tick, nothing special.
//
// A tick ends when every socket has been offered the frame, and is followed by a
// rest of at least restFactor times what that took: however many connections
// there are, telling them takes a bounded part of the machine, and the rest is for
// those who buy. Offering never waits (see writer), so no client can stretch it.
type hub struct {
	gateway *Gateway
	layout  *onsale.Layout
	roster  roster
	changed chan struct{} // holds a token when there may be something to publish

	watchers  int       // under Gateway.mu
	idleSince time.Time // under Gateway.mu: when the last watcher left

	life    sync.Mutex
	begun   bool            // under life: start has been tried
	failure error           // under life: why it can't run
	unwatch func()          // under life: leaves the source; nil if never registered
	group   lifecycle.Group // the tick's goroutine

	in   sync.Mutex
	now  *onsale.Stock // under in: what the source says; nil before its first Reset
	lost bool          // under in: a delta was skipped, and no Reset has come since

	out      sync.Mutex    // taken before in
	sent     *onsale.Stock // under out: what a client knows that has had every frame
	snapshot *frame        // under out: sent, encoded when first wanted

	backlog atomic.Pointer[backlog] // written under out; nil before the first publish
}

var errHubStopped = errors.New("the hub has stopped")

func newHub(g *Gateway, layout *onsale.Layout) *hub {
	return &hub{gateway: g, layout: layout, changed: make(chan struct{}, 1), idleSince: time.Now()}
}

// start begins to follow the event. Whoever comes first does it, the others wait
// for the outcome.
func (h *hub) start() error {
	h.life.Lock()
	defer h.life.Unlock()
	if h.begun || h.failure != nil {
		return h.failure
	}
	h.begun = true
	ctx := context.Background() // it ends by stop, not by the request that came first
	h.unwatch, h.failure = h.gateway.cfg.Source.Watch(ctx, h.layout, h)
	if h.failure == nil {
		h.group.Go(ctx, h.run)
	}
	return h.failure
}

// stop leaves the source and ends the tick. A hub that was stopped stays so.
func (h *hub) stop(ctx context.Context) error {
	h.life.Lock()
	defer h.life.Unlock()
	if h.unwatch != nil {
		h.unwatch()
		h.unwatch = nil
	}
	h.failure = errHubStopped
	return h.group.Stop(ctx)
}

// Reset implements Listener.
func (h *hub) Reset(stock *onsale.Stock) {
	sections := h.layout.Sections()
	if len(stock.Counts) != len(sections) || len(stock.Seats) != sections[len(sections)-1].End {
		h.gateway.cfg.Log.Error("the source gave a stock of another layout; it is ignored", "event", h.layout.Event.ID,
			"sections", len(stock.Counts), "seats", len(stock.Seats))
		return
	}
	h.in.Lock()
	h.now, h.lost = stock.Clone(), false
	h.in.Unlock()
	h.wake()
}

// Delta implements Listener.
func (h *hub) Delta(delta *onsale.Delta) {
	h.in.Lock()
	followed := h.now != nil && h.now.Apply(delta)
	found := !followed && !h.lost
	h.lost = !followed
	h.in.Unlock()
	if followed {
		h.wake()
	}
	if found {
		// What was sent stays true of its moment; the source's next Reset makes it current.
		h.gateway.cfg.Log.Error("the source skipped a delta; waiting for its reset", "event", h.layout.Event.ID,
			"epoch", delta.Epoch, "seq", delta.Seq)
	}
}

func (h *hub) wake() {
	select {
	case h.changed <- struct{}{}:
	default: // a token is there already
	}
}

// run publishes what has changed, the first change at once and then once a tick.
func (h *hub) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-h.changed:
		}
		began := time.Now()
		if h.publish() {
			h.fanOut()
		}
		took := time.Since(began)
		pause.Reset(max(h.gateway.cfg.Tick-took, restFactor*took))
	}
}

// restFactor bounds the part of the time that an event's fan-out takes to one
// third: what is conflated in between is told all the same, in fewer frames.
const restFactor = 2

// publish makes what the source says what is sent. It returns false if nothing
// has changed.
func (h *hub) publish() bool {
	began := time.Now()
	h.out.Lock()
	defer h.out.Unlock()
	h.in.Lock()
	var delta *onsale.FeedDelta
	switch old := h.sent; {
	case h.now == nil, old != nil && same(old, h.now):
		h.in.Unlock()
		return false
	case old == nil || h.now.Epoch != old.Epoch || h.now.Seq < old.Seq:
		// No delta leads here: everybody gets a snapshot.
		h.sent = h.now.Clone()
	default:
		delta = diff(h.layout, old, h.now)
	}
	h.in.Unlock()

	h.snapshot = nil
	if delta == nil {
		h.backlog.Store(h.backlog.Load().restart())
	} else {
		h.backlog.Store(h.backlog.Load().with(textFrame(kindDelta, delta)))
	}
	h.gateway.meters.encodeSeconds.Add(time.Since(began).Seconds())
	h.gateway.meters.ticks.Inc()
	return true
}

func same(a, b *onsale.Stock) bool {
	return a.Epoch == b.Epoch && a.Seq == b.Seq && a.Sale == b.Sale &&
		slices.Equal(a.Counts, b.Counts) && bytes.Equal(a.Seats, b.Seats)
}

// latest returns the snapshot of what has been sent, and the position of the
// first frame that isn't in it. nil if nothing has been published yet. The
// snapshot is encoded once, however large the herd that asks for it.
func (h *hub) latest() (*frame, uint64) {
	h.out.Lock()
	defer h.out.Unlock()
	if h.sent == nil {
		return nil, 0
	}
	if h.snapshot == nil {
		h.snapshot = textFrame(kindSnapshot, Snapshot(h.layout, h.sent))
	}
	return h.snapshot, h.backlog.Load().end()
}

// fanOutChunk is how many connections a worker takes at a time.
const fanOutChunk = 256

// fanOut offers everybody what they are owed, on as many processors as there are.
func (h *hub) fanOut() {
	began := time.Now()
	var cursor atomic.Int64
	work := func() {
		w := h.gateway.writer()
		defer h.gateway.done(w)
		for {
			from := int(cursor.Add(fanOutChunk)) - fanOutChunk
			if !h.roster.chunk(from, func(c *conn) { c.flush(w) }) {
				return
			}
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), h.roster.places()/fanOutChunk+1) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	h.gateway.meters.fanOutSeconds.Add(time.Since(began).Seconds())
}
