package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAGroupThatIsNewHasEverythingStillToDoKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	produce(t, newProducer(t, b), "before", "it", "started")
	var done handled
	consume(t, b, done.add)
	drained(t, b)
	wantHandled(t, &done, "before", "it", "started")
}

func TestAFailedBatchIsHandledAgainAndNothingBehindItFirstKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	produce(t, newProducer(t, b), "a", "b")
	var done handled
	var tries atomic.Int64
	consume(t, b, func(ctx context.Context, batch []Record) error {
		if tries.Add(1) < 3 {
			return errors.New("the store is away")
		}
		return done.add(ctx, batch)
	})
	drained(t, b)
	wantHandled(t, &done, "a", "b")
}

func TestWhatWasNotDoneIsDoneAfterARestartAndOnlyThatKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	var first, second handled
	failed := make(chan struct{}, 1)
	c := consume(t, b, func(ctx context.Context, batch []Record) error {
		if v, err := Decode[string](batch[0]); err != nil || v == "hard" {
			select {
			case failed <- struct{}{}:
			default:
			}
			return errors.New("not now")
		}
		return first.add(ctx, batch)
	})
	produce(t, p, "easy")
	drained(t, b)
	produce(t, p, "hard")
	wait(t, "the batch is tried", failed)
	stop(t, c)
	if n := lag(t, b); n != 1 {
		t.Errorf("%d records are left after the stop, want 1: what was not done must not be committed", n)
	}
	consume(t, b, second.add)
	drained(t, b)
	wantHandled(t, &first, "easy")
	wantHandled(t, &second, "hard")
}

func TestAStopLetsTheBatchEndAndCommitsItKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	produce(t, newProducer(t, b), "under way")
	begun, release := make(chan struct{}), make(chan struct{})
	cutShort := false
	c := consume(t, b, func(ctx context.Context, _ []Record) error {
		close(begun)
		<-release
		select {
		case <-ctx.Done():
			cutShort = true
		case <-time.After(100 * time.Millisecond): // its work takes that long
		}
		return nil
	})
	wait(t, "the batch is begun", begun)
	stopping := &watched{Context: context.Background(), asked: make(chan struct{})}
	stopped := make(chan error, 1)
	go func() { stopped <- c.Stop(stopping) }()
	wait(t, "the stop waits for the batch", stopping.asked)
	close(release)
	check(t, <-stopped)
	if cutShort {
		t.Error("the batch's context ended before the batch")
	}
	if n := lag(t, b); n != 0 {
		t.Errorf("%d records are not committed", n)
	}
	check(t, c.Stop(t.Context())) // twice is fine
}

// watched tells when someone begins to wait for its end.
type watched struct {
	context.Context
	asked chan struct{}
	once  sync.Once
}

// Done implements context.Context.
func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.asked) })
	return w.Context.Done()
}

func TestRecordsOfAKeyAreHandledInOrderKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	const keys, each = 7, 40
	var messages []Message
	want := map[string][]string{}
	for i := range keys * each {
		key := fmt.Sprint("key-", i%keys)
		messages = append(messages, message(key, fmt.Sprint(i)))
		want[key] = append(want[key], fmt.Sprint(i))
	}
	check(t, newProducer(t, b).Produce(t.Context(), messages...))
	got, largest := map[string][]string{}, 0 // the handler's, read when it is drained
	var mu sync.Mutex
	c := NewConsumer(ConsumerConfig{Broker: b, Group: testGroup, Topic: testTopic, MaxBatch: 11, Handle: func(_ context.Context, batch []Record) error {
		mu.Lock()
		defer mu.Unlock()
		largest = max(largest, len(batch))
		for _, r := range batch {
			v, err := Decode[string](r)
			if err != nil {
				return err
			}
			got[string(r.Key)] = append(got[string(r.Key)], v)
		}
		return nil
	}})
	start(t, c)
	drained(t, b)
	mu.Lock()
	defer mu.Unlock()
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("%s: %v", key, got[key])
		}
	}
	if largest > 11 {
		t.Errorf("a batch had %d records, at most 11 were asked for", largest)
	}
}

func TestACommitThatFailsIsTriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	commits := refuseCommits(cluster, kerr.RequestTimedOut, 2)
	var done handled
	consume(t, b, done.add)
	produce(t, newProducer(t, b), "once")
	drained(t, b) // nothing else comes that would be committed with it
	wantHandled(t, &done, "once")
	if n := commits.Load(); n != 3 {
		t.Errorf("%d commits, want the two that failed and one more", n)
	}
}

func TestAStopEndsACommitThatNeverSucceeds(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	commits := refuseCommits(cluster, kerr.RequestTimedOut, 1<<30)
	c := consume(t, b, new(handled).add)
	produce(t, newProducer(t, b), "never")
	eventually(t, "a commit is tried", func() bool { return commits.Load() > 0 })
	stop(t, c) // within the grace
	if n := lag(t, b); n != 1 {
		t.Errorf("%d records left", n)
	}
}

func TestAMemberThatLostItsPlaceLeavesTheBatchToTheNext(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	commits := refuseCommits(cluster, kerr.UnknownMemberID, 1)
	// The coordinator says the same to the heartbeat, and the member joins anew.
	cluster.ControlKey(kmsg.Heartbeat.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if commits.Load() == 0 {
			cluster.KeepControl()
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		return resp, nil, true
	})
	var done handled
	consume(t, b, done.add)
	produce(t, newProducer(t, b), "twice")
	drained(t, b)
	wantHandled(t, &done, "twice", "twice")
	if n := commits.Load(); n != 2 {
		t.Errorf("%d commits, want one refused and one of the batch that was handled again", n)
	}
}

// refuseCommits answers the first commits with an error. It returns how many came.
func refuseCommits(cluster *kfake.Cluster, with *kerr.Error, first int64) *atomic.Int64 {
	var commits atomic.Int64
	cluster.ControlKey(kmsg.OffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if commits.Add(1) > first {
			return nil, nil, false
		}
		asked := req.(*kmsg.OffsetCommitRequest)
		resp := asked.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range asked.Topics {
			answer := kmsg.NewOffsetCommitResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				p := kmsg.NewOffsetCommitResponseTopicPartition()
				p.Partition, p.ErrorCode = partition.Partition, with.Code
				answer.Partitions = append(answer.Partitions, p)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
	return &commits
}
