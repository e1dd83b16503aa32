package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/twmb/franz-go/pkg/kadm"

	"onsale/internal/lifecycle"
)

// deleteBefore has the broker delete a topic's records before an offset, as retention does.
func deleteBefore(t *testing.T, b Broker, offset int64) {
	t.Helper()
	cl, err := b.client()
	check(t, err)
	defer cl.Close()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: b.Topic(testTopic), At: offset})
	deleted, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets)
	check(t, errors.Join(err, deleted.Error()))
}

// lose leaves a group that has handled one record, and of the next three so many deleted unread.
func lose(t *testing.T, b Broker, p *Producer, deleted int64) {
	t.Helper()
	c := consume(t, b, new(handled).add)
	produce(t, p, "a")
	drained(t, b)
	stop(t, c)
	produce(t, p, "b", "c", "d")
	deleteBefore(t, b, 1+deleted)
}

// recording is a consumer that looks for losses often.
func recording(b Broker, set *metrics.Set, handle func(context.Context, []Record) error, lost func(context.Context, Loss) error) *Consumer {
	c := NewConsumer(ConsumerConfig{Broker: b, Group: testGroup, Topic: testTopic, Metrics: set, Handle: handle, Lost: lost, Log: slog.New(slog.DiscardHandler)})
	c.losses.every = 20 * time.Millisecond
	return c
}

func lostRecords(set *metrics.Set) uint64 {
	return set.GetOrCreateCounter(`onsale_records_lost_total{group="` + testGroup + `"}`).Get()
}

func TestWhatWasDeletedUnreadIsNotDrainedUntilItIsOnRecordKafka(t *testing.T) {
	t.Parallel()
	b, set := newBroker(t, 1), metrics.NewSet()
	p := newProducer(t, b)
	lose(t, b, p, 3)
	if n := lag(t, b); n != 3 {
		t.Errorf("lag %d, want the 3 that are lost", n)
	}
	short, cancel := context.WithTimeout(t.Context(), 3*drainPoll)
	defer cancel()
	if err := Drained(short, b, testGroup, testTopic); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 of them deleted unread") {
		t.Errorf("three records were deleted unread, and Drained returned %v", err)
	}
	start(t, recording(b, set, new(handled).add, p.BuryLoss))
	drained(t, b)
	dead := letters(t, b)
	if len(dead) != 1 || !TellsOfLoss(dead[0].Record) || !strings.Contains(dead[0].Reason, "3 records") || !strings.HasSuffix(dead[0].Origin, "/0@1") {
		t.Fatalf("on record: %+v", dead)
	}
	eventually(t, "they are counted", func() bool { return lostRecords(set) == 3 })
	// Nothing of it can be given back: it is seen, and the stage gets nothing.
	if n, err := p.Replay(t.Context(), dead); n != 1 || err != nil {
		t.Fatalf("%d replayed, %v", n, err)
	}
	if left := deadLetters(t, b); len(left) != 0 || lag(t, b) != 0 {
		t.Errorf("%d letters left, lag %d", len(left), lag(t, b))
	}
}

func TestALossIsOnRecordBeforeWhatFollowsItIsHandledKafka(t *testing.T) {
	t.Parallel()
	b, h, set := newBroker(t, 1), new(handled), metrics.NewSet()
	p := newProducer(t, b)
	lose(t, b, p, 2)
	var refused atomic.Int64
	start(t, recording(b, set, h.add, func(ctx context.Context, l Loss) error {
		if len(h.all()) > 0 {
			t.Error("what follows was handled first")
		}
		if l.Records() != 2 || l.From != 1 || l.Topic != testTopic || l.Group != testGroup {
			t.Errorf("lost %+v", l)
		}
		if refused.Add(1) <= 2 {
			return errors.New("not now")
		}
		return p.BuryLoss(ctx, l)
	}))
	drained(t, b)
	wantHandled(t, h, "d")
	if dead := letters(t, b); len(dead) != 1 || lostRecords(set) != 2 {
		t.Errorf("%d letters, %d counted", len(dead), lostRecords(set))
	}
}

func TestAGroupThatReadEverythingHasLostNothingWhenItIsDeletedKafka(t *testing.T) {
	t.Parallel()
	b, h, set := newBroker(t, 1), new(handled), metrics.NewSet()
	p := newProducer(t, b)
	var c lifecycle.Part = recording(b, set, h.add, func(_ context.Context, l Loss) error { t.Errorf("lost %+v", l); return nil })
	start(t, c)
	produce(t, p, "a", "b")
	drained(t, b)
	deleteBefore(t, b, 2)
	drained(t, b)
	produce(t, p, "c")
	drained(t, b)
	wantHandled(t, h, "a", "b", "c")
	// Nor is one that never read known to have lost what was deleted before it came.
	if n, err := Lag(t.Context(), b, "newcomers", testTopic); n != 1 || err != nil {
		t.Errorf("a newcomer lags %d, %v", n, err)
	}
}
