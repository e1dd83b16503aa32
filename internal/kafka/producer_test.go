package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"onsale"
)

func TestKafkaHasAllThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	var messages []Message
	for i := range 100 {
		messages = append(messages, message(fmt.Sprint("key-", i), fmt.Sprint(i)))
	}
	check(t, newProducer(t, b).Produce(t.Context(), messages...))
	if n := lag(t, b); n != 100 {
		t.Errorf("%d records are in the topic, want 100", n)
	}
}

func TestProduceSaysYesOnlyWhenAllAreAcknowledgedKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	p := newProducer(t, b)
	tooLarge := message("b", strings.Repeat("x", 2<<20))
	if err := p.Produce(t.Context(), message("a", "1"), tooLarge, message("c", "3")); err == nil || errors.Is(err, ErrInDoubt) {
		t.Errorf("one of three was refused, and Produce returned %v", err)
	}
	if n := lag(t, b); n != 2 {
		t.Errorf("%d records are in the topic, want the 2 that were acknowledged", n)
	}
	check(t, p.Produce(t.Context())) // none: nothing to wait for
}

func TestNothingIsSentForACallerWhoHasGoneKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err := p.Produce(gone, message("a", "never"))
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrInDoubt) {
		t.Errorf("got %v, want it to say that nothing was sent", err)
	}
	produce(t, p, "after") // the same partition: what was sent before would be there
	if n := lag(t, b); n != 1 {
		t.Errorf("%d records are in the topic, want 1", n)
	}
}

func TestAnUnansweredRecordIsInDoubtAndMayLandLater(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	answer := withhold(t, cluster)
	p := newProducer(t, b)
	impatient, cancel := context.WithCancel(t.Context())
	outcome := make(chan error)
	go func() { outcome <- p.Produce(impatient, message("a", "late")) }()
	wait(t, "the record is sent", answer.asked)
	cancel()
	if err := <-outcome; !errors.Is(err, ErrInDoubt) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrInDoubt", err)
	}
	if n := lag(t, b); n != 0 {
		t.Fatalf("%d records are in the topic while none was taken", n)
	}
	answer.serve()
	eventually(t, "the record lands", func() bool { return lag(t, b) == 1 })
}

func TestAFullBufferIsAnAnswerNotAQueue(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	answer := withhold(t, cluster)
	p := newProducer(t, b)
	many := make([]Message, maxBuffered)
	for i := range many {
		many[i] = message("a", "x")
	}
	outcome := make(chan error)
	go func() { outcome <- p.Produce(t.Context(), many...) }()
	wait(t, "the first of them is sent", answer.asked)
	eventually(t, "the buffer is full", func() bool { return p.cl.BufferedProduceRecords() == maxBuffered })
	if err := p.Produce(t.Context(), message("a", "one too many")); !errors.Is(err, ErrFull) || errors.Is(err, ErrInDoubt) {
		t.Errorf("got %v, want ErrFull", err)
	}
	answer.serve()
	check(t, <-outcome)
	if n := lag(t, b); n != maxBuffered {
		t.Errorf("%d records are in the topic, want %d", n, maxBuffered)
	}
	produce(t, p, "there is room again")
}

func TestAMessageThatIsNoJSONIsRefusedBeforeAnyIsSent(t *testing.T) {
	t.Parallel()
	_, b := newUnruly(t)
	p := newProducer(t, b)
	if err := p.Produce(t.Context(), message("a", "1"), Message{Topic: testTopic, Value: func() {}}); err == nil {
		t.Error("a function was taken for JSON")
	}
	if n := lag(t, b); n != 0 {
		t.Errorf("%d records were sent", n)
	}
}

func TestHeadersAndKeysTravelKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	check(t, newProducer(t, b).Produce(t.Context(),
		Message{Topic: testTopic, Key: "concert", Value: onsale.Purchase{Amount: 7}, Headers: map[string]string{"trace": "abc"}}))
	got := make(chan Record, 1)
	consume(t, b, func(_ context.Context, batch []Record) error { got <- batch[0]; return nil })
	r := <-got
	purchase, err := Decode[onsale.Purchase](r)
	if err != nil || purchase.Amount != 7 || string(r.Key) != "concert" || len(r.Headers) != 1 || r.Headers[0].Key != "trace" || string(r.Headers[0].Value) != "abc" {
		t.Errorf("%+v, %v of %+v", purchase, err, r)
	}
	if _, err := Decode[int](r); err == nil {
		t.Error("a purchase was read as a number")
	}
	drained(t, b)
}

// withheld keeps back the broker's answers to produce requests.
type withheld struct {
	asked   chan struct{} // closed when the first request has come
	release chan struct{}
	once    sync.Once
}

// serve lets the requests be served.
func (w *withheld) serve() { w.once.Do(func() { close(w.release) }) }

// withhold makes the cluster serve no produce request until serve.
func withhold(t *testing.T, cluster *kfake.Cluster) *withheld {
	t.Helper()
	w := &withheld{asked: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(w.serve)
	var first sync.Once
	cluster.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		first.Do(func() { close(w.asked) })
		cluster.SleepControl(func() { <-w.release })
		return nil, nil, false
	})
	return w
}
