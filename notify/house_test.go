package notify

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/lifecycle"
	"onsale/internal/stores/storestest"
	"onsale/persist"
)

// house is a book and a Kafka of the test's own, with the event "gala": a floor of 5,000.
type house struct {
	t        *testing.T
	url      string
	store    *persist.Store
	broker   kafka.Broker
	producer *kafka.Producer
	log      *lines
}

// lines keeps what is logged, to be searched for what must not be.
type lines struct {
	mu   sync.Mutex
	text strings.Builder // under mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, url: storestest.Postgres(t), broker: kafka.Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)}, log: &lines{}}
	h.check(persist.Migrate(t.Context(), h.url))
	store, err := persist.Open(t.Context(), h.url, persist.Config{Secret: []byte("a secret of the tests")})
	h.check(err)
	t.Cleanup(store.Close)
	h.store = store
	h.check(kafka.EnsureTopics(t.Context(), h.broker, 2))
	h.producer, err = kafka.NewProducer(h.broker)
	h.check(err)
	t.Cleanup(h.producer.Close)
	_, err = store.CreateEvent(t.Context(), &onsale.Event{ID: "gala", Name: "Gala", StartsAt: time.Date(2027, 6, 5, 20, 0, 0, 0, time.UTC), Currency: "EUR",
		Sections: []onsale.Section{{ID: "floor", Kind: onsale.General, Price: 2500, Capacity: 5000}}})
	h.check(err)
	return h
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// purchases are checkouts of new buyers, who want to be mailed.
func (h *house) purchases(n int) []onsale.Purchase {
	h.t.Helper()
	all := make([]onsale.Purchase, n)
	for i := range all {
		hold := onsale.NewHoldID("gala", 1)
		all[i] = onsale.Purchase{Order: hold.Order(), Hold: hold, Event: "gala", Epoch: 1, Generation: 1, Buyer: onsale.NewBuyerID(), Amount: 2500,
			Lines: []onsale.Line{{Section: "floor", Quantity: 1}}, Currency: "EUR", PaymentToken: "tok_ok", At: time.Now().UTC().Truncate(time.Microsecond)}
		h.check(h.store.PutContact(h.t.Context(), all[i].Buyer, onsale.Contact{Email: fmt.Sprintf("friend%d@example.com", i)}))
	}
	return all
}

func captures(purchases []onsale.Purchase) []onsale.ChargeResult {
	results := make([]onsale.ChargeResult, len(purchases))
	for i, p := range purchases {
		results[i] = onsale.ChargeResult{Order: p.Order, Event: p.Event, Outcome: onsale.ChargeCaptured, Reference: "chg_" + string(p.Order), Amount: p.Amount, Currency: p.Currency, At: time.Now()}
	}
	return results
}

// ticketed settles new orders and returns their news.
func (h *house) ticketed(n int) []onsale.OrderNews {
	h.t.Helper()
	purchases := h.purchases(n)
	_, _, err := h.store.Claim(h.t.Context(), purchases)
	h.check(err)
	news, _, err := h.store.Finalise(h.t.Context(), captures(purchases))
	h.check(err)
	return news
}

func (h *house) tell(news ...onsale.OrderNews) {
	h.t.Helper()
	var messages []kafka.Message
	for _, n := range news {
		messages = append(messages, kafka.Message{Topic: onsale.TopicOrders, Key: string(n.Order), Value: n})
	}
	h.check(h.producer.Produce(h.t.Context(), messages...))
}

func (h *house) webhook(url string) onsale.Webhook {
	h.t.Helper()
	w, err := h.store.CreateWebhook(h.t.Context(), onsale.Webhook{URL: url, Events: onsale.NewsTypes()})
	h.check(err)
	return *w
}

// notifier starts a notifier on a book, with mail to a server or none, and returns what
// it counts. It stops with the test, or earlier.
func (h *house) notifier(book Book, mail *mailServer) (set *metrics.Set, stop func()) {
	h.t.Helper()
	set = metrics.NewSet()
	cfg := Config{Broker: h.broker, Book: book, Keys: keys, Loopback: true, Metrics: set, Log: slog.New(slog.NewTextHandler(h.log, nil))}
	if mail != nil {
		cfg.Mail = &MailConfig{Server: mail.url(), From: "tickets@arena.example", Event: h.store.Event}
	}
	n, err := New(cfg)
	h.check(err)
	return set, h.start(n)
}

func (h *house) start(p lifecycle.Part) (stop func()) {
	h.t.Helper()
	h.check(p.Start(h.t.Context()))
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

// exec changes the tables, as time would.
func (h *house) exec(statement string) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.url)
	h.check(err)
	_, err = conn.Exec(h.t.Context(), statement)
	h.check(err)
	h.check(conn.Close(h.t.Context()))
}

// number asks the tables for one.
func (h *house) number(query string) (n int64) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.url)
	h.check(err)
	h.check(conn.QueryRow(h.t.Context(), query).Scan(&n))
	h.check(conn.Close(h.t.Context()))
	return n
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("never: %s\n%s", what, h.log)
		}
	}
}
