package kafka

import (
	"context"
	"sync/atomic"
	"testing"
)

func TestWhatHasNoRoomWaitsAndItsPartitionsCanBeGivenToOthersKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 4)
	var shut, open handled
	waiting := make(chan struct{}, 1)
	full := NewConsumer(ConsumerConfig{Broker: b, Group: testGroup, Topic: testTopic, Handle: shut.add, Room: func(ctx context.Context, _ int) int {
		select {
		case waiting <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return 0
	}})
	start(t, full)
	wait(t, "it waits for room", waiting)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"}
	p := newProducer(t, b)
	for _, key := range keys {
		check(t, p.Produce(t.Context(), message(key, key)))
	}
	consume(t, b, open.add)
	eventually(t, "the other has some of its partitions", func() bool { return lag(t, b) < int64(len(keys)) })
	if n := lag(t, b); n == 0 {
		t.Error("the one without room has given all away, or has handled some")
	}
	stop(t, full) // at once, though it waits
	drained(t, b)
	wantHandled(t, &shut)
}

func TestABatchHasNoMoreThanThereIsRoomForKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	var asked, largest atomic.Int64
	var messages []Message
	for range 20 {
		messages = append(messages, message("k", "v"))
	}
	check(t, p.Produce(t.Context(), messages...))
	c := NewConsumer(ConsumerConfig{Broker: b, Group: testGroup, Topic: testTopic, MaxBatch: 5,
		Room: func(_ context.Context, most int) int { // none, fewer, as many and more than may come
			return []int{0, 1, most, 100}[asked.Add(1)%4]
		},
		Handle: func(_ context.Context, batch []Record) error {
			largest.Store(max(largest.Load(), int64(len(batch))))
			return nil
		}})
	start(t, c)
	drained(t, b)
	if n := largest.Load(); n > 5 || asked.Load() < 4 {
		t.Errorf("a batch of %d, %d times asked", n, asked.Load())
	}
}
