package realtime

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"onsale"
	"onsale/internal/kafka"
)

func news(buyer onsale.BuyerID) onsale.OrderNews {
	hold := onsale.NewHoldID("show", 1)
	return onsale.OrderNews{
		Order: hold.Order(), Hold: hold, Event: "show", Buyer: buyer,
		State: onsale.OrderDeclined, Reason: "card refused", At: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC),
	}
}

// signIn authenticates the browser and waits until the gateway knows.
func (s *stage) signIn(t testing.TB, b *browser, buyer onsale.BuyerID) {
	t.Helper()
	before := len(s.gateway.audience.of(buyer))
	b.send(t, onsale.FeedRequest{Type: onsale.FrameAuth, Token: "token of " + string(buyer)})
	eventually(t, func() error {
		if len(s.gateway.audience.of(buyer)) <= before {
			return fmt.Errorf("%s isn't known", buyer)
		}
		return nil
	})
}

// heard returns an error unless the browser was told of exactly these orders.
func (b *browser) heard(want ...onsale.OrderNews) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.orders) != len(want) {
		return fmt.Errorf("told of %d orders, want %d", len(b.orders), len(want))
	}
	for i, n := range want {
		told := onsale.FeedOrder{Type: onsale.FrameOrder, Order: n.Order, Hold: n.Hold, State: n.State, Reason: n.Reason, At: n.At}
		if b.orders[i] != told {
			return fmt.Errorf("told %+v, want %+v", b.orders[i], told)
		}
	}
	return b.breach
}

func TestOnlyTheBuyerIsToldOfTheirOrderWhereverTheyWatch(t *testing.T) {
	show, other := newHouse(t, "show", 1, 10), newHouse(t, "other", 1, 10)
	s := serve(t, nil, show, other)
	phone, laptop, someone, guest := s.open(t, show), s.open(t, other), s.open(t, show), s.open(t, show)
	s.signIn(t, phone, "buy_a")
	s.signIn(t, laptop, "buy_a")
	s.signIn(t, someone, "buy_b")

	first, second := news("buy_a"), news("buy_b")
	s.gateway.TellOrder(first)
	s.gateway.TellOrder(second)
	eventually(t, func() error { return phone.heard(first) })
	eventually(t, func() error { return laptop.heard(first) })
	eventually(t, func() error { return someone.heard(second) })

	// What comes after on the same connections shows that nothing else came before.
	show.newEpoch()
	eventually(t, guest.sees)
	eventually(t, phone.sees)
	eventually(t, func() error { return guest.heard() })
	eventually(t, func() error { return phone.heard(first) })
}

func TestConnectionBelongsToTheLastWhoSignedIn(t *testing.T) {
	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	b := s.open(t, h)
	s.signIn(t, b, "buy_a")
	s.signIn(t, b, "buy_b")
	s.gateway.TellOrder(news("buy_a"))
	mine := news("buy_b")
	s.gateway.TellOrder(mine)
	eventually(t, func() error { return b.heard(mine) })

	b.leave()
	eventually(t, func() error {
		s.gateway.audience.mu.Lock()
		defer s.gateway.audience.mu.Unlock()
		if n := len(s.gateway.audience.byBuyer); n > 0 {
			return fmt.Errorf("%d buyers are still known", n)
		}
		return nil
	})
	s.gateway.TellOrder(news("buy_b")) // nobody is there: nothing happens
}

func TestTellerTellsWhatTheOrdersTopicSays(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	broker := kafka.Broker{Seeds: cluster.ListenAddrs()}
	if err := kafka.EnsureTopics(ctx, broker, 2); err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(broker)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()

	h := newHouse(t, "show", 1, 10)
	s := serve(t, nil, h)
	teller := NewTeller(s.gateway, broker, nil)
	if err := teller.Start(ctx); err != nil {
		t.Fatal(err)
	}
	b := s.open(t, h)
	s.signIn(t, b, "buy_a")
	produce := func(value any) {
		t.Helper()
		if err := producer.Produce(ctx, kafka.Message{Topic: onsale.TopicOrders, Key: "k", Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	// The tail begins at the end of the topic: at some point it is there.
	eventually(t, func() error {
		produce("this is no news")
		if s.count("onsale_feed_undecodable_news_total") == 0 {
			return fmt.Errorf("the teller hears nothing")
		}
		return nil
	})
	mine := news("buy_a")
	produce(news("buy_b"))
	produce(mine)
	eventually(t, func() error { return b.heard(mine) })
	for range 2 {
		if err := teller.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}
