package checkout

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"onsale"
	"onsale/internal/kafka"
)

const slowGroup = "slow-claimers"

// bounded is a counter whose till looks at a backlog of one stage.
type bounded struct {
	*counter
	backlog *Backlog
	set     *metrics.Set
}

func newBounded(t *testing.T, k *line, change func(*BacklogConfig)) *bounded {
	t.Helper()
	b := &bounded{counter: newCounter(t, k), set: metrics.NewSet()}
	cfg := BacklogConfig{Broker: k.broker, Max: 3, Metrics: b.set, Log: quiet(),
		Stages: []BacklogStage{{Name: "claim", Group: kafka.Group{Group: slowGroup, Topic: onsale.TopicPurchases}}}}
	change(&cfg)
	b.backlog = NewBacklog(cfg)
	b.backlog.goodFor = time.Second
	b.till.BoundBy(b.backlog)
	return b
}

func (b *bounded) begin() {
	b.counter.t.Helper()
	if err := b.backlog.Start(b.counter.t.Context()); err != nil {
		b.counter.t.Fatal(err)
	}
	b.counter.t.Cleanup(func() { stop(b.counter.t, b.backlog.Stop) })
}

func (b *bounded) becomes(full bool) {
	b.counter.t.Helper()
	eventually(b.counter.t, "the backlog is full, or not any more", func() bool { return b.backlog.Full() == full })
}

// claim handles every purchase until the test ends.
func (b *bounded) claim() {
	b.counter.t.Helper()
	c := kafka.NewConsumer(kafka.ConsumerConfig{Broker: b.line.broker, Group: slowGroup, Topic: onsale.TopicPurchases, Log: quiet(),
		Handle: func(context.Context, []kafka.Record) error { return nil }})
	if err := c.Start(b.counter.t.Context()); err != nil {
		b.counter.t.Fatal(err)
	}
	b.counter.t.Cleanup(func() { stop(b.counter.t, c.Stop) })
}

func wantOverloaded(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, onsale.CodeOverloaded)
	var refusal *onsale.Error
	if !errors.As(err, &refusal) || refusal.RetryAfter <= 0 {
		t.Errorf("%v doesn't say when to ask again", err)
	}
}

func TestBeyondTheBacklogNothingIsPinnedAndWhatIsPinnedStillGetsItsOrderKafka(t *testing.T) {
	t.Parallel()
	b := newBounded(t, newLine(t), func(c *BacklogConfig) { c.MaxAge = time.Hour })
	b.begin()
	accepted := b.hold(b.layout, alice, floor(1))
	first := b.mustAccept(accepted)
	b.mustAccept(b.hold(b.layout, alice, floor(1)))
	if b.backlog.Full() {
		t.Fatal("two of three are too many")
	}
	doubtful := b.pin(alice) // its answer never came
	b.mustAccept(b.hold(b.layout, alice, floor(1)))
	b.becomes(true)

	late := b.hold(b.layout, bob, floor(1))
	_, err := b.accept(late)
	wantOverloaded(t, err)
	b.wantState(late, onsale.HoldHeld)
	b.wantRecords(onsale.TopicPurchases, 3)
	b.wantFloor(onsale.Counts{Available: 15, Held: 1, Pinned: 4})
	r := request(late)
	r.Buyer = alice
	_, err = b.till.Accept(t.Context(), b.layout, r)
	wantCode(t, err, onsale.CodeUnknownHold) // another's hold reads as none, full or not
	if again := b.mustAccept(accepted); again.ID != first.ID {
		t.Errorf("asked again it is order %s, and was %s", again.ID, first.ID)
	}
	if order := b.mustAccept(doubtful); order.ID != doubtful.ID.Order() {
		t.Errorf("a pinned hold has order %s", order.ID)
	}
	if n := b.set.GetOrCreateCounter(`onsale_checkouts_refused_total{reason="backlog"}`).Get(); n != 1 {
		t.Errorf("%d refusals are counted, want 1", n)
	}

	b.claim()
	b.becomes(false)
	b.mustAccept(b.hold(b.layout, bob, floor(1)))
}

func TestAnOldBacklogRefusesHoweverSmallUnlessItMayWaitKafka(t *testing.T) {
	t.Parallel()
	k := newLine(t)
	old := newBounded(t, k, func(c *BacklogConfig) { c.Max, c.MaxAge = 1000, 2*time.Second })
	patient := newBounded(t, k, func(c *BacklogConfig) { c.Max, c.MaxAge, c.Stages[0].MayWait = 1000, 2*time.Second, true })
	old.begin()
	patient.begin()
	old.mustAccept(old.hold(old.layout, alice, floor(1)))
	old.becomes(true)
	_, err := old.accept(old.hold(old.layout, bob, floor(1)))
	wantOverloaded(t, err)
	eventually(t, "the other one has seen how old it is", func() bool {
		return patient.set.GetOrCreateGauge(`onsale_backlog_age_seconds{stage="claim"}`, nil).Get() > 2 // beyond the bound
	})
	if patient.backlog.Full() {
		t.Error("what may wait has refused")
	}
	old.claim()
	old.becomes(false)
}

func TestABacklogThatCantBeReadRefusesNobody(t *testing.T) {
	t.Parallel()
	b := newBounded(t, newPrivateLine(t), func(c *BacklogConfig) { c.Max, c.MaxAge = 1, time.Hour })
	hold := b.hold(b.layout, alice, floor(1))
	b.mustAccept(hold) // nothing was read yet
	b.begin()
	b.becomes(true)
	b.line.stop()
	b.becomes(false)
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := b.till.Accept(brief, b.layout, request(b.hold(b.layout, bob, floor(1))))
	wantCode(t, err, onsale.CodeUnavailable) // Kafka's own answer, not the backlog's
	b.line.start()
	b.becomes(true)
}

func TestCheckoutDoesNotOpenAndCloseWithEachBatch(t *testing.T) {
	t.Parallel()
	b := NewBacklog(BacklogConfig{Max: 100, MaxAge: time.Minute, Log: quiet()})
	for _, step := range []struct {
		waiting int64
		oldest  time.Duration
		full    bool
	}{
		{99, 0, false}, {100, 0, true}, {99, 0, true}, {81, 0, true}, {80, 0, false}, {99, 0, false},
		{1, 59 * time.Second, false}, {1, time.Minute, true}, {1, 31 * time.Second, true}, {1, 30 * time.Second, false},
		{200, 0, true}, {10, time.Minute, true}, {10, time.Second, false},
	} {
		was := b.reading.Load() != nil && b.reading.Load().full
		full := b.judge(was, step.waiting, step.oldest)
		if full != step.full {
			t.Errorf("%d wait, the oldest %v, closed before %t: closed %t", step.waiting, step.oldest, was, full)
		}
		b.reading.Store(&backlogReading{full: full, at: time.Now()})
	}
}
