package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"onsale"
	"onsale/holds"
	"onsale/internal/stores/storestest"
)

// benchShop is a front tier that holds admissions of one floor, on a real Redis. Its
// handler is called straight, without a network.
func benchShop(b *testing.B, capacity int64) *Server {
	b.Helper()
	url, namespace := storestest.Redis(b)
	client := must(holds.Connect(url))
	b.Cleanup(client.Close)
	log, set := slog.New(slog.DiscardHandler), metrics.NewSet()
	desk := holds.NewDesk(holds.Config{Client: client, Namespace: namespace, Secret: []byte(testSecret)})
	mirrors := holds.NewMirrors(desk, client, func(onsale.EventID) {}, log)
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
		defer cancel()
		if err := mirrors.Stop(ctx); err != nil {
			b.Error(err)
		}
		if err := desk.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	event := &onsale.Event{ID: "concert", Name: "Concert", Currency: "EUR", StartsAt: time.Unix(2e9, 0), Epoch: 1, MaxPerBuyer: onsale.MaxPerBuyer,
		HoldsPerMinute: 1000, Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Capacity: capacity, Price: 5000}}}
	if err := event.Complete(); err != nil {
		b.Fatal(err)
	}
	l := onsale.NewLayout(event)
	if err := desk.BeginRebuild(b.Context(), l, 1); err != nil {
		b.Fatal(err)
	}
	if err := desk.FinishRebuild(b.Context(), l, 1, onsale.SaleOpen, nil); err != nil {
		b.Fatal(err)
	}
	known := time.NewTicker(time.Millisecond)
	defer known.Stop()
	for !mirrors.View(l, func(*onsale.Stock) {}) {
		select {
		case <-known.C:
		case <-b.Context().Done():
			b.Fatal("the mirror never knew the stock")
		}
	}
	catalog := NewCatalog(nil, mirrors, log)
	catalog.layouts[l.Event.ID] = l
	sessions := NewSessions([]byte(testSecret))
	return NewServer(Config{Sessions: sessions, Shop: &Shop{Sessions: sessions, Catalog: catalog, Desk: desk, Mirrors: mirrors}, Metrics: set, Log: log})
}

// benchHolds asks for one admission after another, each time under a key of its own.
func benchHolds(b *testing.B, s *Server, want int) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(64)
	var askers atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		asker := askers.Add(1)
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		q := &ctx.Request
		q.SetRequestURI("/v1/events/concert/holds")
		q.Header.SetMethod("POST")
		q.SetBodyString(`{"lines":[{"section":"floor","quantity":1}]}`)
		token := ""
		for n := int64(0); pb.Next(); n++ {
			if n%onsale.MaxPerBuyer == 0 {
				token, _, _ = s.cfg.Sessions.Issue(onsale.NewBuyerID(), time.Now())
			}
			q.Header.Set("Authorization", "Bearer "+token)
			q.Header.Set("Idempotency-Key", strconv.FormatInt(asker<<32|n, 36))
			ctx.Response.Reset()
			s.serve(&ctx)
			if got := ctx.Response.StatusCode(); got != want {
				panic(fmt.Sprintf("status %d, want %d: %s", got, want, ctx.Response.Body()))
			}
		}
	})
}

// BenchmarkHoldRequest is a granted hold from the parsed request to the answer, Redis
// included.
func BenchmarkHoldRequest(b *testing.B) { benchHolds(b, benchShop(b, onsale.MaxCapacity), 201) }

// BenchmarkSoldOutRequest is a refusal, which Redis is hardly asked about.
func BenchmarkSoldOutRequest(b *testing.B) {
	s := benchShop(b, 1)
	l, err := s.cfg.Shop.Catalog.Layout(b.Context(), "concert")
	if err != nil {
		b.Fatal(err)
	}
	asks, err := l.CheckAsks([]onsale.Ask{{Section: "floor", Quantity: 1}})
	if err != nil {
		b.Fatal(err)
	}
	must(s.cfg.Shop.Desk.Hold(b.Context(), l, holds.Request{Buyer: "buy_first", Asks: asks}))
	benchHolds(b, s, 409)
}
