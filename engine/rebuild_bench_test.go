package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"onsale"
	"onsale/holds"
	"onsale/internal/kafka"
	"onsale/internal/stores/storestest"
	"onsale/persist"
)

// BenchmarkRebuild100kSeats lays the stock of 100,000 seats, 60,000 of them owned by
// 30,000 orders, in a Redis that has lost it, on a real Redis and Postgres. It is the
// whole of a laying once Kafka is drained. Reported too: the longest time that one of
// its calls kept Redis from everybody else.
func BenchmarkRebuild100kSeats(b *testing.B) {
	const rows, seats, orders, tickets = 200, 500, 30_000, 2
	ctx := b.Context()
	store, client := benchStores(b)
	desk := holds.NewDesk(holds.Config{Client: client, Secret: []byte(testSecret)})
	broker := kafka.Broker{Seeds: storestest.Kafka(b), Prefix: storestest.KafkaPrefix(b)}
	if err := kafka.EnsureTopics(ctx, broker, 1); err != nil {
		b.Fatal(err)
	}
	sales := NewSales(SalesConfig{Store: store, Desk: desk, Broker: broker, Log: slog.New(slog.DiscardHandler)})
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
		defer cancel()
		if err := sales.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	e := &onsale.Event{ID: "stadium", Name: "Stadium", Currency: "EUR", StartsAt: time.Unix(2e9, 0),
		Sections: []onsale.Section{{ID: "stand", Kind: onsale.Reserved, Price: 5000, Grid: &onsale.Grid{Rows: rows, Seats: seats}}}}
	if err := e.Complete(); err != nil {
		b.Fatal(err)
	}
	created := must(sales.Create(ctx, e))
	sell(b, store, onsale.NewLayout(created), orders, tickets)
	must(store.SetSale(ctx, e.ID, onsale.SaleOpen))
	command := func(words ...string) rueidis.RedisResult {
		reply := client.Do(ctx, client.B().Arbitrary(words...).Build())
		if err := reply.Error(); err != nil {
			b.Fatal(err)
		}
		return reply
	}
	command("CONFIG", "SET", "slowlog-log-slower-than", "100")
	command("CONFIG", "SET", "slowlog-max-len", "10000")
	for b.Loop() {
		b.StopTimer()
		command("HSET", "onsale:{stadium}:meta", "run", "another") // as after a restart: what is there goes first
		command("SLOWLOG", "RESET")
		b.StartTimer()
		if err := sales.Lay(ctx, e.ID); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(longest(b, command("SLOWLOG", "GET", "-1"))), "µs/longest-call")
	stock := must(desk.Stock(ctx, onsale.NewLayout(created)))
	if want := (onsale.Counts{Available: rows*seats - orders*tickets, Pinned: orders * tickets}); stock.Counts[0] != want {
		b.Fatalf("laid %+v, want %+v", stock.Counts[0], want)
	}
}

func benchStores(b *testing.B) (*persist.Store, rueidis.Client) {
	b.Helper()
	postgres := storestest.Postgres(b)
	if err := persist.Migrate(b.Context(), postgres); err != nil {
		b.Fatal(err)
	}
	store := must(persist.Open(b.Context(), postgres, persist.Config{Secret: []byte(testSecret)}))
	b.Cleanup(store.Close)
	client := must(holds.Connect(storestest.PrivateRedis(b).URL()))
	b.Cleanup(client.Close)
	return store, client
}

// sell gives so many orders so many neighbouring seats each.
func sell(b *testing.B, store *persist.Store, l *onsale.Layout, orders, each int) {
	b.Helper()
	const batch = 500
	s, purchases := l.Sections()[0], []onsale.Purchase(nil)
	perRow := s.Rows[0].Seats / each
	for i := range orders {
		hold := onsale.NewHoldID(l.Event.ID, l.Event.Epoch)
		line := onsale.Line{Section: s.ID, Quantity: each}
		for j := range each {
			line.Seats = append(line.Seats, fmt.Sprintf("%s-%d", s.Rows[i/perRow].ID, i%perRow*each+j+1))
		}
		purchases = append(purchases, onsale.Purchase{Order: hold.Order(), Hold: hold, Event: l.Event.ID, Epoch: l.Event.Epoch, Generation: 1,
			Buyer: onsale.NewBuyerID(), Lines: []onsale.Line{line}, Amount: int64(each) * s.Price, Currency: l.Event.Currency,
			PaymentToken: "tok_ok", At: time.Now()})
		if len(purchases) < batch && i < orders-1 {
			continue
		}
		if _, rejected, err := store.Claim(b.Context(), purchases); err != nil || len(rejected) > 0 {
			b.Fatalf("%d rejected: %v", len(rejected), err)
		}
		purchases = purchases[:0]
	}
}

// longest is the longest time in a slow log, in µs.
func longest(b *testing.B, log rueidis.RedisResult) (most int64) {
	b.Helper()
	for _, entry := range must(log.ToArray()) {
		fields := must(entry.ToArray())
		most = max(most, must(fields[2].AsInt64()))
	}
	return most
}
