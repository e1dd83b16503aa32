package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestATailSeesWhatComesAfterItsStartAndNothingBeforeKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	p := newProducer(t, b)
	for i := range 9 {
		check(t, p.Produce(t.Context(), message(fmt.Sprint("key-", i), "old")))
	}
	var one, other handled // every tail sees all
	tail(t, b, &one)
	tail(t, b, &other)
	produce(t, p, "first", "second")
	for _, seen := range []*handled{&one, &other} {
		eventually(t, "the news is seen", func() bool { return len(seen.all()) >= 2 })
		wantHandled(t, seen, "first", "second")
	}
}

func TestATailSeesWhatComesBeforeItHasAskedForAnything(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	p := newProducer(t, b)
	produce(t, p, "old")
	var seen handled
	var started atomic.Bool
	come := make(chan struct{}) // closed when a record has come since Start returned
	cluster.ControlKey(kmsg.ListOffsets.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if started.Load() {
			cluster.SleepControl(func() { <-come })
		}
		return nil, nil, false
	})
	cluster.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cluster.SleepControl(func() { <-come })
		return nil, nil, false
	})
	tail(t, b, &seen)
	started.Store(true)
	produce(t, p, "news")
	close(come)
	eventually(t, "the news is seen", func() bool { return len(seen.all()) > 0 })
	wantHandled(t, &seen, "news")
}

func TestATailThatStoppedSeesNothingKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	var one, other handled
	stopped := tail(t, b, &one)
	stop(t, stopped)
	tail(t, b, &other)
	produce(t, p, "news")
	eventually(t, "the other sees it", func() bool { return len(other.all()) == 1 })
	wantHandled(t, &one)
	stop(t, stopped) // twice is fine
}

func TestATailOfATopicThatIsNotThereDoesNotStart(t *testing.T) {
	t.Parallel()
	_, b := newUnruly(t)
	tail := NewTail(TailConfig{Broker: b, Topic: "no.such.topic", Handle: func([]Record) {}})
	if err := tail.Start(t.Context()); err == nil {
		t.Error("started")
	}
	check(t, tail.Stop(t.Context()))
}

func tail(t *testing.T, b Broker, seen *handled) *Tail {
	t.Helper()
	tail := NewTail(TailConfig{Broker: b, Topic: testTopic, Handle: func(records []Record) {
		if err := seen.add(context.Background(), records); err != nil {
			t.Error(err)
		}
	}})
	start(t, tail)
	return tail
}
