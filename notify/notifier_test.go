package notify

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/kafka"
	"onsale/persist"
)

// receiver is a webhook's server that counts what it is posted, by webhook-id.
type receiver struct {
	*httptest.Server
	status atomic.Int64 // what it answers
	stall  atomic.Bool  // it answers nothing

	mu  sync.Mutex
	got map[string]int // under mu
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: map[string]int{}}
	r.status.Store(http.StatusOK)
	r.Server = serve(t, func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.got[q.Header.Get("webhook-id")]++
		r.mu.Unlock()
		_, _ = io.Copy(io.Discard, q.Body) // else the server doesn't see the other side go
		if r.stall.Load() {
			<-q.Context().Done()
			return
		}
		w.WriteHeader(int(r.status.Load()))
	})
	return r
}

// counts is how many different ids came, and how many posts.
func (r *receiver) counts() (ids, posts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.got {
		posts += n
	}
	return len(r.got), posts
}

func TestEachNewsIsToldOnceHoweverOftenKafkaDeliversIt(t *testing.T) {
	h, mail, hook := newHouse(t), newMailServer(t), newReceiver(t)
	h.webhook(hook.URL)
	news := h.ticketed(20)
	h.check(h.producer.Produce(t.Context(), kafka.Message{Topic: onsale.TopicOrders, Key: "x", Value: "no news"}))
	h.tell(news...)
	set, stop := h.notifier(h.store, mail)
	h.tell(news...)
	told := func() bool {
		ids, _ := hook.counts()
		return ids == len(news) && len(mail.mails()) == len(news)
	}
	h.eventually("all are told", told)
	stop()
	h.tell(news...)
	_, _ = h.notifier(h.store, mail)
	h.eventually("the repeats are read", func() bool {
		lag, err := kafka.Lag(t.Context(), h.broker, Group, onsale.TopicOrders)
		return err == nil && lag == 0 && h.number(`SELECT count(*) FROM deliveries WHERE state = 'queued'`) == 0
	})
	if ids, posts := hook.counts(); ids != posts || !told() {
		t.Errorf("%d news, %d posts, %d mails", ids, posts, len(mail.mails()))
	}
	if n := set.GetOrCreateCounter(`onsale_deliveries_sent_total{channel="email"}`).Get(); n != uint64(len(news)) {
		t.Errorf("%d mails are counted", n)
	}
	if n := set.GetOrCreateCounter("onsale_deliveries_untellable_total").Get(); n != 1 {
		t.Errorf("%d news that can't be read are counted, want 1", n)
	}
	if text := h.log.String(); strings.Contains(text, "friend") {
		t.Errorf("an address is logged:\n%s", text)
	}
}

// amnesiac is a book that nobody can tell what came of deliveries, as if whoever sent
// them was killed before.
type amnesiac struct {
	*persist.Store
	asked atomic.Int64
}

func (a *amnesiac) EndDeliveries(context.Context, []onsale.DeliveryOutcome) error {
	a.asked.Add(1)
	return nil
}

func TestKilledBetweenSendingAndWritingItDownSendsTheSameIDAgain(t *testing.T) {
	h, mail, hook := newHouse(t), newMailServer(t), newReceiver(t)
	h.webhook(hook.URL)
	h.tell(h.ticketed(3)...)
	killed := &amnesiac{Store: h.store}
	d := newDispatcher(Config{Book: killed, Keys: keys, Loopback: true, Log: slog.New(slog.NewTextHandler(h.log, nil))}, newMeters(metrics.NewSet()))
	var err error
	d.mailer, err = newMailer(MailConfig{Server: mail.url(), From: "tickets@arena.example"})
	h.check(err)
	_, stopQueueing := h.notifier(&onlyQueues{h.store}, nil)
	h.start(d)
	h.eventually("all are sent, and none is written down", func() bool {
		ids, _ := hook.counts()
		return ids == 3 && len(mail.mails()) == 3 && killed.asked.Load() >= 2
	})
	stopQueueing()
	if n := h.number(`SELECT count(*) FROM deliveries WHERE state = 'queued' AND due > now()`); n != 6 {
		t.Fatalf("%d are leased, want 6", n)
	}
	h.exec(`UPDATE deliveries SET due = now()`) // the leases end
	_, _ = h.notifier(h.store, mail)
	h.eventually("all are sent again", func() bool { return h.number(`SELECT count(*) FROM deliveries WHERE state = 'sent'`) == 6 })
	if ids, posts := hook.counts(); ids != 3 || posts != 6 {
		t.Errorf("%d ids in %d posts, want 3 in 6", ids, posts)
	}
	seen := map[string]int{}
	for _, text := range mail.mails() {
		header, _ := parts(t, text)
		seen[header.Get("Message-Id")]++
	}
	for id, n := range seen {
		if n != 2 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d different mails, want 3", len(seen))
	}
}

// onlyQueues is a book whose deliveries nobody sends.
type onlyQueues struct{ *persist.Store }

func (onlyQueues) Lanes(context.Context) ([]onsale.Webhook, map[onsale.Lane]bool, error) {
	return nil, nil, nil
}

func TestDeadMailServerSlowsNeitherWebhooksNorTheSale(t *testing.T) {
	const orders = 1000
	h, mail, hook := newHouse(t), newMailServer(t), newReceiver(t)
	mail.behave(func(said string) string {
		if said == "END" {
			return "stall" // in mid-DATA, with every connection that it is given
		}
		return ""
	})
	dead := newReceiver(t)
	dead.stall.Store(true)
	h.webhook(hook.URL)
	h.webhook(dead.URL)
	settler := persist.NewSettler(persist.SettlerConfig{Store: h.store, Broker: h.broker, Producer: h.producer, Log: slog.New(slog.DiscardHandler)})
	h.start(settler)
	_, stop := h.notifier(h.store, mail)
	purchases := h.purchases(orders)
	var messages []kafka.Message
	for _, p := range purchases {
		messages = append(messages, kafka.Message{Topic: onsale.TopicPurchases, Key: string(p.Event), Value: p})
	}
	h.check(h.producer.Produce(t.Context(), messages...))
	h.eventually("all are claimed", func() bool { return h.number(`SELECT count(*) FROM orders WHERE state = 'claimed'`) == orders })
	messages = nil
	for _, r := range captures(purchases) {
		messages = append(messages, kafka.Message{Topic: onsale.TopicResults, Key: string(r.Order), Value: r})
	}
	h.check(h.producer.Produce(t.Context(), messages...))
	h.eventually("all are ticketed", func() bool { return h.number(`SELECT count(*) FROM orders WHERE state = 'ticketed'`) == orders })
	h.eventually("the living webhook has heard of all", func() bool { ids, _ := hook.counts(); return ids == orders })
	stop()
	// What stalls holds as many conversations as a lane is wide, and no more.
	if n := mail.connections(); n > laneWidth || n == 0 {
		t.Errorf("%d conversations with the dead mail server, want 1 to %d", n, laneWidth)
	}
	if _, posts := dead.counts(); posts > laneWidth || posts == 0 {
		t.Errorf("%d posts to the dead webhook, want 1 to %d", posts, laneWidth)
	}
	if n := h.number(`SELECT count(*) FROM deliveries WHERE state = 'queued'`); n != 2*orders {
		t.Errorf("%d wait for the dead, want %d: none is lost", n, 2*orders)
	}
	if n := h.number(`SELECT count(*) FROM deliveries WHERE state = 'queued' AND due > now() + interval '30 seconds'`); n > 0 {
		t.Errorf("%d that were taken were not given back when the notifier stopped", n)
	}
}

func printed(set *metrics.Set) string {
	var text strings.Builder
	set.WritePrometheus(&text)
	return text.String()
}

func TestARestingBreakerUsesUpNoAttempts(t *testing.T) {
	h, hook := newHouse(t), newReceiver(t)
	hook.status.Store(http.StatusInternalServerError)
	w := h.webhook(hook.URL)
	h.tell(h.ticketed(100)...)
	set, _ := h.notifier(h.store, nil)
	h.eventually("the breaker rests", func() bool {
		return strings.Contains(printed(set), `onsale_delivery_lanes_resting{channel="webhook"} 1`) &&
			h.number(`SELECT count(*) FROM deliveries WHERE lane = '`+string(w.ID)+`'`) == 100
	})
	_, posts := hook.counts()
	if posts < breakerCount || posts > breakerCount+laneWidth {
		t.Errorf("%d posts until the breaker rests, want about %d", posts, breakerCount)
	}
	if n := h.number(`SELECT count(*) FROM deliveries WHERE attempts > 0 AND lane <> 'email'`); n != int64(posts) {
		t.Errorf("%d deliveries have an attempt, want the %d that were posted", n, posts)
	}
}

func TestWebhookThatIsGoneIsDisabledAndItsDeliveriesGivenUp(t *testing.T) {
	h, hook, other := newHouse(t), newReceiver(t), newReceiver(t)
	hook.status.Store(http.StatusGone)
	w := h.webhook(hook.URL)
	h.webhook(other.URL)
	h.tell(h.ticketed(3)...)
	_, _ = h.notifier(h.store, nil)
	h.eventually("it is disabled, and the other told", func() bool {
		found, err := h.store.Webhook(t.Context(), w.ID)
		ids, _ := other.counts()
		return err == nil && found.DisabledAt != nil && ids == 3
	})
	h.tell(h.ticketed(1)...)
	h.eventually("the other is told the next", func() bool { ids, _ := other.counts(); return ids == 4 })
	if n := h.number(`SELECT count(*) FROM deliveries WHERE lane = '` + string(w.ID) + `' AND state <> 'dead'`); n != 0 {
		t.Errorf("%d of its deliveries are not given up", n)
	}
	if _, err := h.store.EnableWebhook(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	hook.status.Store(http.StatusOK)
	if n, err := h.store.ReplayDead(t.Context(), w.ID.Lane()); err != nil || n != 3 {
		t.Fatalf("%d are replayed, %v", n, err)
	}
	h.eventually("they are told after all", func() bool {
		return h.number(`SELECT count(*) FROM deliveries WHERE lane = '`+string(w.ID)+`' AND state = 'sent'`) == 3
	})
}

func TestMailThatIsGreylistedComesLaterAndOneToNobodyDies(t *testing.T) {
	h, mail := newHouse(t), newMailServer(t)
	var seen atomic.Int64
	mail.behave(func(said string) string {
		switch {
		case strings.Contains(said, "friend1@"):
			return "550 5.1.1 <friend1@example.com> unknown"
		case strings.Contains(said, "RCPT") && seen.Add(1) == 1:
			return "450 4.2.0 later"
		}
		return ""
	})
	h.tell(h.ticketed(2)...)
	_, _ = h.notifier(h.store, mail)
	h.eventually("one is dead and the other waits", func() bool {
		return h.number(`SELECT count(*) FROM deliveries WHERE state = 'dead'`) == 1 &&
			h.number(`SELECT count(*) FROM deliveries WHERE state = 'queued' AND attempts = 1 AND error <> '' AND due > now()`) == 1
	})
	if n := h.number(`SELECT count(*) FROM deliveries WHERE error LIKE '%friend%'`); n != 0 || strings.Contains(h.log.String(), "friend") {
		t.Errorf("an address is in %d errors, or logged:\n%s", n, h.log)
	}
	h.exec(`UPDATE deliveries SET due = now() WHERE state = 'queued'`)
	h.eventually("the other has come", func() bool { return len(mail.mails()) == 1 })
}

func TestABatchUnderWayEndsWhenTheNotifierStops(t *testing.T) {
	h, hook := newHouse(t), newReceiver(t)
	hook.stall.Store(true)
	h.webhook(hook.URL)
	h.tell(h.ticketed(2 * laneWidth)...)
	_, stop := h.notifier(h.store, nil)
	h.eventually("as many as may be are on their way", func() bool { ids, _ := hook.counts(); return ids == laneWidth })
	stop()
	if n := h.number(`SELECT count(*) FROM deliveries WHERE attempts = 0 AND due <= now() AND lane <> 'email'`); n != laneWidth {
		t.Errorf("%d are given back untried, want %d", n, laneWidth)
	}
}
