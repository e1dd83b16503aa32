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
// Every socket is offered what there is to tell, a slice of them after the other (see round), and each
// slice is followed by a rest (see pace): however many connections and events there are, telling them takes a
// bounded part of the machine, and the rest is for those who buy. Offering never
// waits (see writer), so no client can stretch it.
type hub struct {
	gateway  *Gateway
	layout   *onsale.Layout
	sections []string // their ids
	roster   roster
	changed  chan struct{} // holds a token when there may be something to publish

	watchers  int       // under Gateway.mu
	idleSince time.Time // under Gateway.mu: when the last watcher left

	life    sync.Mutex
	begun   bool            // under life: start has been tried
	failure error           // under life: why it can't run
	unwatch func()          // under life: leaves the source; nil if never registered
	group   lifecycle.Group // the tick's goroutine

	in     sync.Mutex
	now    *onsale.Stock // under in: what the source says; nil before its first Reset
	lost   bool          // under in: a delta was skipped, and no Reset has come since
	recall recall        // under in: of now

	out      sync.Mutex          // taken before in
	sent     *onsale.Stock       // under out: what a client knows that has had every frame
	snapshot *message            // under out: sent, when first wanted
	missed   map[uint64]*message // under out: what leads from a seq to sent, as far as it was wanted; nil: the snapshot

	backlog atomic.Pointer[backlog] // written under out; nil before the first publish
}

var errHubStopped = errors.New("the hub has stopped")

func newHub(g *Gateway, layout *onsale.Layout) *hub {
	h := &hub{gateway: g, layout: layout, changed: make(chan struct{}, 1), missed: map[uint64]*message{}, idleSince: time.Now()}
	for _, section := range layout.Sections() {
		h.sections = append(h.sections, section.ID)
	}
	return h
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
	h.recall.forget(stock)
	h.in.Unlock()
	h.wake()
}

// Delta implements Listener.
func (h *hub) Delta(delta *onsale.Delta) {
	h.in.Lock()
	known := h.now != nil && delta.Epoch == h.now.Epoch && delta.Seq <= h.now.Seq
	followed := h.now != nil && h.now.Apply(delta)
	if followed && !known {
		h.recall.note(delta)
	}
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

func (h *hub) wake() { offer(h.changed) }

// offer puts a token into a channel that has room for one, unless one is there already.
func offer(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// run publishes what has changed, the first change at once and then once a tick, and tells it: a small audience
// at once, a large one slice by slice, each what is newest at its turn. So what telling takes is
// spread evenly, and so are those who act on what they were told.
func (h *hub) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	pace := pace{effort: &h.gateway.effort}
	defer pace.idle()
	var published time.Time
	var all round
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		if all.untold == 0 {
			if len(h.changed) == 0 {
				pace.idle()
			}
			select {
			case <-ctx.Done():
				return
			case <-h.changed:
				h.wake() // it is taken when the tick is over
			}
			if early := h.gateway.cfg.Tick - time.Since(published); early > 0 {
				pause.Reset(early)
				continue
			}
		}
		began, spent := time.Now(), cpuTime()
		merges := !h.layout.Event.Striped() // whoever misses several frames of a striped event gets them all: one a round is enough
		if len(h.changed) > 0 && began.Sub(published) >= h.gateway.cfg.Tick && (merges || all.untold == 0) {
			<-h.changed
			published = began
			if h.publish() {
				all.begin(h.roster.places())
			}
		}
		slice := all.slice()
		h.fanOut(slice, &all)
		part := h.gateway.cfg.Tick * time.Duration(slice) / time.Duration(max(all.chunks, 1))
		pause.Reset(pace.rest(part, time.Since(began), cpuTime()-spent))
	}
}

// round is how far everybody has been told what was published last. Whoever came after that has it.
type round struct {
	chunks int // of the places that there were
	next   int // the first of them that is told next
	untold int // of them; 0 when all have been told
}

// begin has everybody told, of so many places, and goes on from where it was.
func (r *round) begin(places int) {
	r.chunks = places/fanOutChunk + 1
	r.next %= r.chunks
	r.untold = r.chunks
}

// slice is how many chunks are to be told at once: all of a small audience, a part of a large one.
func (r *round) slice() int {
	return min(r.untold, max(leastSlice, (r.chunks+slicesOfAll-1)/slicesOfAll))
}

// take returns where the next places begin that are to be told.
func (r *round) take() (place int) {
	place = r.next * fanOutChunk
	r.next = (r.next + 1) % r.chunks
	r.untold--
	return place
}

// publish makes what the source says what is sent. It returns false if nothing
// has changed.
func (h *hub) publish() bool {
	began := time.Now()
	h.out.Lock()
	defer h.out.Unlock()
	h.in.Lock()
	var news *onsale.FeedDelta // nil: everybody gets a snapshot
	switch old := h.sent; {
	case h.now == nil, old != nil && same(old, h.now):
		h.in.Unlock()
		return false
	case old == nil || h.now.Epoch != old.Epoch || h.now.Seq < old.Seq: // no delta leads here
		h.sent = h.now.Clone()
	default:
		news = diff(h.layout, old, h.now)
	}
	h.in.Unlock()

	h.snapshot = nil
	clear(h.missed)
	if news == nil {
		h.backlog.Store(h.backlog.Load().restart(h.sent.Epoch))
		h.gateway.vigil.rouse(h.layout.Event.ID)
	} else {
		h.backlog.Store(h.backlog.Load().with(h.deltaMessage(news), news.From))
	}
	h.gateway.meters.encodeSeconds.Add(time.Since(began).Seconds())
	h.gateway.meters.ticks.Inc()
	return true
}

// deltaMessage is a delta, or the sale that says as much if it changes no section.
func (h *hub) deltaMessage(d *onsale.FeedDelta) *message {
	if len(d.Sections) > 0 {
		return h.message(kindDelta, d)
	}
	return h.message(kindSale, &onsale.FeedSale{Type: onsale.FrameSale, Epoch: d.Epoch, From: d.From, Seq: d.Seq, At: d.At, Sale: d.Sale})
}

func (h *hub) message(k kind, body any) *message {
	return &message{kind: k, body: body, sections: h.sections, spent: h.gateway.meters.encodeSeconds}
}

func same(a, b *onsale.Stock) bool {
	return a.Epoch == b.Epoch && a.Seq == b.Seq && a.Sale == b.Sale &&
		slices.Equal(a.Counts, b.Counts) && bytes.Equal(a.Seats, b.Seats)
}

// latest returns the snapshot of what has been sent, and the position of the
// first frame that isn't in it. nil if nothing has been published yet. The
// snapshot is encoded once, however large the herd that asks for it.
func (h *hub) latest() (*message, uint64) {
	h.out.Lock()
	defer h.out.Unlock()
	if h.sent == nil {
		return nil, 0
	}
	if h.snapshot == nil {
		h.snapshot = h.message(kindSnapshot, Snapshot(h.layout, h.sent))
	}
	return h.snapshot, h.backlog.Load().end()
}

// maxMissed bounds from how many places clients are led on to one moment. Those of a
// process that went down were all at one or two.
const maxMissed = 32

// since returns what leads a client on that stands somewhere, and the position after it. nil if
// it needs a snapshot.
func (h *hub) since(p place) (*message, uint64) {
	if p.epoch == 0 || h.layout.Event.Striped() {
		return nil, 0 // the seq of a striped event is a sum: one number, many stocks
	}
	h.out.Lock()
	defer h.out.Unlock()
	if h.sent == nil || h.sent.Epoch != p.epoch {
		return nil, 0
	}
	m, known := h.missed[p.seq]
	if !known && len(h.missed) < maxMissed {
		h.in.Lock()
		if d := h.recall.since(h.layout, h.sent, p.seq); d != nil {
			m = h.deltaMessage(d)
		}
		h.in.Unlock()
		h.missed[p.seq] = m
	}
	return m, h.backlog.Load().end()
}

// place is where a client stands: at a seq of an epoch. The zero value is nowhere.
type place struct {
	epoch onsale.Epoch
	seq   uint64
}

// epoch is that of what has been sent; 0 before anything was.
func (h *hub) epoch() onsale.Epoch {
	h.out.Lock()
	defer h.out.Unlock()
	if h.sent == nil {
		return 0
	}
	return h.sent.Epoch
}

const (
	// fanOutChunk is how many connections a worker takes at a time.
	fanOutChunk = 256
	// slicesOfAll is into how many slices a large audience is cut, and leastSlice how many chunks one has at the least.
	slicesOfAll = 16
	leastSlice  = 4
)

// fanOut offers the next chunks of a round, so many, what they are owed, on as many processors as there are.
func (h *hub) fanOut(slice int, r *round) {
	began := time.Now()
	places := make(chan int, slice)
	for range slice {
		places <- r.take()
	}
	close(places)
	work := func() {
		w := h.gateway.writer()
		defer h.gateway.done(w)
		for place := range places {
			h.roster.chunk(place, func(c *conn) { c.flush(w) })
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), slice) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	h.gateway.meters.fanOutSeconds.Add(time.Since(began).Seconds())
}
