package web_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/engine/web"
	"onsale/internal/feedclient"
	"onsale/realtime"
)

// hall is the truth about an event, and the source of real gateways that show it.
type hall struct {
	layout *onsale.Layout

	mu        sync.Mutex
	stock     *onsale.Stock              // under mu
	listeners map[realtime.Listener]bool // under mu
	misses    bool                       // under mu: the listeners miss deltas, until they are told all
}

func newHall(t *testing.T) *hall {
	t.Helper()
	event := &onsale.Event{ID: "show", Name: "A night", StartsAt: time.Unix(1_900_000_000, 0), Currency: "EUR", Sections: []onsale.Section{
		{ID: "stand", Kind: onsale.Reserved, Price: 5000, Grid: &onsale.Grid{Rows: 40, Seats: 50}},
		{ID: "floor", Kind: onsale.General, Price: 3000, Capacity: 100},
	}}
	if err := event.Complete(); err != nil {
		t.Fatal(err)
	}
	h := &hall{layout: onsale.NewLayout(event), listeners: map[realtime.Listener]bool{}}
	h.lay(1)
	return h
}

// lay begins an epoch with everything available. The caller has mu, or nobody else has h.
func (h *hall) lay(epoch onsale.Epoch) {
	h.stock = &onsale.Stock{Event: "show", Epoch: epoch, At: time.Now(), Sale: onsale.SaleOpen, Seats: h.layout.Empty()}
	for _, s := range h.layout.Sections() {
		h.stock.Counts = append(h.stock.Counts, onsale.Counts{Available: s.Capacity})
	}
}

// Watch implements realtime.Source.
func (h *hall) Watch(_ context.Context, _ *onsale.Layout, l realtime.Listener) (stop func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[l] = true
	l.Reset(h.stock)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l)
	}, nil
}

// turn has a seat taken or given back, n times.
func (h *hall) turn(r *rand.Rand, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range n {
		at := r.IntN(50*51) % len(h.stock.Seats)
		counts := h.stock.Counts[0]
		d := &onsale.Delta{Epoch: h.stock.Epoch, Seq: h.stock.Seq + 1, At: time.Now(), Sale: onsale.SaleOpen, Counts: map[int]onsale.Counts{}}
		switch h.stock.Seats[at] {
		case onsale.SeatAvailable:
			counts.Available, counts.Held = counts.Available-1, counts.Held+1
			d.Seats = []onsale.SeatRun{{Offset: at, States: "h"}}
		case onsale.SeatHeld:
			counts.Available, counts.Held = counts.Available+1, counts.Held-1
			d.Seats = []onsale.SeatRun{{Offset: at, States: "a"}}
		}
		d.Counts[0] = counts
		h.stock.Apply(d)
		for l := range h.listeners {
			if !h.misses {
				l.Delta(d)
			}
		}
	}
}

// tell has everybody told all.
func (h *hall) tell(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	h.misses = false
	for l := range h.listeners {
		l.Reset(h.stock)
	}
}

func (h *hall) view() *onsale.FeedSnapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return realtime.Snapshot(h.layout, h.stock)
}

// open starts a gateway for the hall behind a server on the address, and returns both's end and the address.
func (h *hall) open(t *testing.T, address string) (stop func(), bound string) {
	t.Helper()
	gateway, err := realtime.New(realtime.Config{Source: h, Tick: time.Millisecond,
		Lookup: func(context.Context, onsale.EventID) (*onsale.Layout, error) { return h.layout, nil },
		Verify: func(string) (onsale.BuyerID, error) { return "", onsale.Refuse(onsale.CodeUnauthenticated, "no") }})
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	eventually(t, "the port is free", func() bool { listener, err = net.Listen("tcp", address); return err == nil })
	server := &fasthttp.Server{KeepHijackedConns: true, MaxIdleWorkerDuration: 20 * time.Millisecond, Handler: func(ctx *fasthttp.RequestCtx) {
		if path := string(ctx.Path()); path != "/live" {
			body, contentType, _, ok := web.Asset(path)
			if !ok { // an empty page
				body, contentType = []byte("<!doctype html><title>hall</title>"), "text/html"
			}
			ctx.SetContentType(contentType)
			ctx.SetBody(body)
		} else if err := gateway.ServeHTTP(ctx, "show"); err != nil {
			ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		}
	}}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := gateway.Stop(ctx); err != nil {
			t.Errorf("stopping the gateway: %v", err)
		}
		if err := server.ShutdownWithContext(ctx); err != nil {
			t.Errorf("shutting the server down: %v", err)
		}
		serving.Wait()
	}, listener.Addr().String()
}

// The page's own client against the real feed, in both protocols: whatever happens, it ends
// with the server's view.
func TestPageEndsWithTheServersViewThroughGapsEpochsAndRestarts(t *testing.T) {
	for _, protocol := range []string{onsale.FeedProtocol, onsale.FeedBinary} {
		t.Run(protocol, func(t *testing.T) {
			h := newHall(t)
			stop, address := h.open(t, "127.0.0.1:0")
			defer func() { stop() }()
			p := openTab(t, "http://"+address, "/empty")
			p.eval(fmt.Sprintf(`import('/assets/feed.js').then(({ Feed }) => {
				window.feed = new Feed({ url: 'ws://%s/live', protocols: [%s], random: () => 0.01 });
				feed.start();
			})`, address, quoted(protocol)))
			r := rand.New(rand.NewPCG(3, 7))
			for i := range 60 {
				switch i % 12 {
				case 3:
					h.mu.Lock()
					h.misses = true
					h.mu.Unlock()
					h.turn(r, 20)
					h.tell(func() {})
				case 5:
					h.tell(func() { h.stock.Sale = onsale.SaleRecovering })
				case 6:
					h.tell(func() { h.lay(h.stock.Epoch + 1) })
				case 9:
					stop()
					h.turn(r, 30) // the next process knows them one by one from here on only
					stop, _ = h.open(t, address)
				case 11:
					want := h.view()
					p.eventually("the page is there", fmt.Sprintf("feed.status === 'live' && feed.stock.epoch === %d && feed.stock.seq === %d", want.Epoch, want.Seq))
					got := value[onsale.FeedSnapshot](p, viewOf+"(feed.stock)")
					if err := feedclient.Differ(&got, want); err != nil {
						t.Fatal(err)
					}
				}
				h.turn(r, 1+r.IntN(200))
			}
			p.eval("feed.stop()")
		})
	}
}
