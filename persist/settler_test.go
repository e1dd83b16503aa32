package persist

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/stores/storestest"
)

// line is a settler's Kafka, with everything that was said on its topics.
type line struct {
	t        *testing.T
	broker   kafka.Broker
	producer *kafka.Producer
	set      *metrics.Set

	mu   sync.Mutex
	said map[string][]*kgo.Record // under mu; by topic
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{t: t, said: map[string][]*kgo.Record{}, set: metrics.NewSet(),
		broker: kafka.Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)}}
	if err := kafka.EnsureTopics(t.Context(), l.broker, 2); err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(l.broker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	l.producer = producer
	for _, topic := range []string{onsale.TopicCharges, onsale.TopicOrders, onsale.TopicPurchases + onsale.DeadLetterSuffix, onsale.TopicResults + onsale.DeadLetterSuffix} {
		l.listen(topic)
	}
	return l
}

// listen keeps what is said on a topic from its beginning on.
func (l *line) listen(topic string) {
	c := kafka.NewConsumer(kafka.ConsumerConfig{Broker: l.broker, Group: "listener-" + topic, Topic: topic, Log: slog.New(slog.DiscardHandler),
		Handle: func(_ context.Context, batch []kafka.Record) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.said[topic] = append(l.said[topic], batch...)
			return nil
		}})
	l.run(c)
}

type part interface {
	Start(context.Context) error
	Stop(context.Context) error
}

// run starts a part and stops it when the test ends, or earlier.
func (l *line) run(p part) (stop func()) {
	l.t.Helper()
	if err := p.Start(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), onsale.StopTimeout)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(stop)
	return stop
}

func (l *line) settler(store *Store) *Settler {
	return NewSettler(SettlerConfig{Store: store, Broker: l.broker, Producer: l.producer, Metrics: l.set, Log: slog.New(slog.DiscardHandler)})
}

func (l *line) produce(topic, key string, value any) {
	l.t.Helper()
	if err := l.producer.Produce(l.t.Context(), kafka.Message{Topic: topic, Key: key, Value: value}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) records(topic string) []*kgo.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.said[topic])
}

// states are the last states that were told of each order.
func (l *line) states() map[onsale.OrderID]onsale.OrderState {
	states := map[onsale.OrderID]onsale.OrderState{}
	for _, r := range l.records(onsale.TopicOrders) {
		var n onsale.OrderNews
		if err := json.Unmarshal(r.Value, &n); err != nil {
			l.t.Fatal(err)
		}
		if string(r.Key) != string(n.Order) {
			l.t.Errorf("the news of %s has the key %s", n.Order, r.Key)
		}
		states[n.Order] = n.State
	}
	return states
}

// drained reports whether everything produced to the topic is settled and committed.
func (l *line) drained(group, topic string) bool {
	lag, err := kafka.Lag(l.t.Context(), l.broker, group, topic)
	return err == nil && lag == 0
}

func TestPurchaseOnKafkaBecomesAChargeAndItsAnswerATicketedOrder(t *testing.T) {
	b, l := newBook(t), newLine(t)
	l.run(l.settler(b.Store))
	sold, refused, lost := b.purchase(stalls("A-1"), floor(1)), b.purchase(floor(2)), b.purchase(stalls("A-1"))
	for _, p := range []onsale.Purchase{sold, refused, lost} {
		l.produce(onsale.TopicPurchases, string(p.Event), p)
	}
	eventually(t, "two charges and a rejection", func() bool {
		return len(l.records(onsale.TopicCharges)) == 2 && l.states()[lost.Order] == onsale.OrderRejected
	})
	for _, r := range l.records(onsale.TopicCharges) {
		var c onsale.Charge
		if err := json.Unmarshal(r.Value, &c); err != nil || string(r.Key) != string(c.Order) {
			t.Errorf("charge %s with key %s: %v", r.Value, r.Key, err)
		}
	}
	l.produce(onsale.TopicResults, string(sold.Order), captured(sold))
	l.produce(onsale.TopicResults, string(refused.Order), declined(refused))
	eventually(t, "one ticketed, one declined", func() bool {
		states := l.states()
		return states[sold.Order] == onsale.OrderTicketed && states[refused.Order] == onsale.OrderDeclined
	})
	eventually(t, "everything committed", func() bool {
		return l.drained(GroupClaim, onsale.TopicPurchases) && l.drained(GroupFinalise, onsale.TopicResults)
	})
	if r := b.audit(); !r.OK() {
		t.Error(r.Err())
	}
	if n := l.set.GetOrCreateCounter(`onsale_orders_total{state="ticketed"}`).Get(); n != 1 {
		t.Errorf("%d ticketed are counted, want 1", n)
	}
}

func TestRecordOnKafkaThatCanNotBeProcessedDoesNotHoldUpTheNext(t *testing.T) {
	b, l := newBook(t), newLine(t)
	fine, foreign := b.purchase(floor(1)), b.purchase(floor(1))
	foreign.Hold = onsale.NewHoldID("gala", 1) // the order of another hold
	l.produce(onsale.TopicPurchases, "gala", "not a purchase")
	l.produce(onsale.TopicPurchases, "gala", foreign)
	l.produce(onsale.TopicPurchases, "gala", fine)
	stray := b.purchase(floor(1))
	l.produce(onsale.TopicResults, string(stray.Order), captured(stray))
	l.produce(onsale.TopicResults, "x", map[string]string{"outcome": "perhaps"})
	l.run(l.settler(b.Store))
	eventually(t, "the fine one claimed, the others dead", func() bool {
		return len(l.records(onsale.TopicCharges)) == 1 && len(l.records(onsale.TopicPurchases+onsale.DeadLetterSuffix)) == 2 &&
			len(l.records(onsale.TopicResults+onsale.DeadLetterSuffix)) == 2
	})
	if s := b.state(fine.Order); s != onsale.OrderClaimed {
		t.Errorf("the fine one is %s", s)
	}
	reasons := ""
	for _, r := range l.records(onsale.TopicResults + onsale.DeadLetterSuffix) {
		for _, h := range r.Headers {
			reasons += string(h.Value) + " "
		}
	}
	if !strings.Contains(reasons, ReasonUnknownOrder) || !strings.Contains(reasons, "the order's id is not one") {
		t.Errorf("the dead letters say %q", reasons)
	}
	if n := b.number(`SELECT count(*) FROM payments WHERE state = 'refund_due'`); n != 1 {
		t.Errorf("%d stray captures on record, want 1", n)
	}
}

func TestRecordThatOnlyPostgresRefusesIsFoundAmongTheOthersOnKafka(t *testing.T) {
	b, l := newBook(t), newLine(t)
	b.corrupt(`ALTER TABLE orders ADD CONSTRAINT surprise CHECK (payment_token <> 'tok_poison')`)
	var want []onsale.OrderID
	for i := range 9 {
		p := b.purchase(stalls(fmt.Sprintf("A-%d", i+1)))
		if i == 5 {
			p.PaymentToken = "tok_poison"
		} else {
			want = append(want, p.Order)
		}
		l.produce(onsale.TopicPurchases, "gala", p)
	}
	l.run(l.settler(b.Store))
	eventually(t, "eight charges and a dead letter", func() bool {
		return len(l.records(onsale.TopicCharges)) == len(want) && len(l.records(onsale.TopicPurchases+onsale.DeadLetterSuffix)) == 1
	})
	for _, id := range want {
		if s := b.state(id); s != onsale.OrderClaimed {
			t.Errorf("%s is %s", id, s)
		}
	}
}

func TestSettlerThatIsStoppedBeforePostgresAnswersLosesNothingOnKafka(t *testing.T) {
	b, l := newBook(t), newLine(t)
	cut := open(t, b.url)
	cut.Close() // a settler whose Postgres is gone: a fault that passes
	stop := l.run(l.settler(cut))
	p := b.purchase(stalls("A-1"))
	l.produce(onsale.TopicPurchases, "gala", p)
	eventually(t, "the purchase is waiting", func() bool {
		lag, err := kafka.Lag(t.Context(), l.broker, GroupClaim, onsale.TopicPurchases)
		return err == nil && lag == 1
	})
	stop()
	if n := len(l.records(onsale.TopicCharges)); n != 0 {
		t.Errorf("%d charges of what nobody has claimed", n)
	}
	l.run(l.settler(b.Store))
	eventually(t, "the purchase is claimed", func() bool { return len(l.records(onsale.TopicCharges)) == 1 })
	if n := len(l.records(onsale.TopicPurchases + onsale.DeadLetterSuffix)); n != 0 {
		t.Errorf("%d dead letters of a fault that passes", n)
	}
}

func TestTwoSettlersOnKafkaTicketEachOrderOnce(t *testing.T) {
	b, l := newBook(t), newLine(t)
	stop := l.run(l.settler(b.Store))
	l.run(l.settler(open(t, b.url)))
	var orders []onsale.Purchase
	for row := range 3 {
		for seat := range 10 {
			p := b.purchase(stalls(fmt.Sprintf("%c-%d", 'A'+row, seat+1)))
			orders = append(orders, p)
			// Keys of many partitions, and each purchase twice: whoever gets them, one claim.
			l.produce(onsale.TopicPurchases, string(p.Order), p)
			l.produce(onsale.TopicPurchases, string(p.Hold), p)
		}
	}
	stop() // one leaves in the middle of it
	eventually(t, "all claimed", func() bool { return l.drained(GroupClaim, onsale.TopicPurchases) })
	for _, p := range orders {
		l.produce(onsale.TopicResults, string(p.Order), captured(p))
		l.produce(onsale.TopicResults, string(p.Hold), captured(p))
	}
	eventually(t, "all finalised", func() bool { return l.drained(GroupFinalise, onsale.TopicResults) })
	if r := b.audit(); !r.OK() || r.Orders[onsale.OrderTicketed] != 30 {
		t.Errorf("%v %v", r.Orders, r.Err())
	}
}
