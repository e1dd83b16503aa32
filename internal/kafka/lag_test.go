package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLagIsWhatTheGroupHasNotCommittedKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	p := newProducer(t, b)
	for _, key := range []string{"a", "b", "c", "d"} {
		check(t, p.Produce(t.Context(), message(key, key)))
	}
	if n := lag(t, b); n != 4 {
		t.Errorf("a group that never was lags %d behind, want 4", n)
	}
	c := consume(t, b, new(handled).add)
	drained(t, b)
	stop(t, c)
	produce(t, p, "e")
	if n := lag(t, b); n != 1 {
		t.Errorf("lag %d, want 1", n)
	}
	if _, err := Lag(t.Context(), b, testGroup, "no.such.topic"); err == nil {
		t.Error("a topic that isn't there has no lag")
	}
}

func TestAGroupThatTheBrokerDoesNotKnowHasCommittedNothing(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	refuseOffsets(cluster, kerr.GroupIDNotFound)
	produce(t, newProducer(t, b), "a", "b")
	if n := lag(t, b); n != 2 {
		t.Errorf("lag %d, want 2", n)
	}
}

func TestACoordinatorThatIsNotThereYetIsAskedAgain(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	refuseCoordinator(cluster, 3)
	produce(t, newProducer(t, b), "a")
	if n := lag(t, b); n != 1 {
		t.Errorf("lag %d, want 1", n)
	}
}

// refuseCoordinator answers the first questions for a group's coordinator as a
// cluster does that has none yet.
func refuseCoordinator(cluster *kfake.Cluster, first int64) {
	var questions atomic.Int64
	cluster.ControlKey(kmsg.FindCoordinator.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if questions.Add(1) > first {
			return nil, nil, false
		}
		asked := req.(*kmsg.FindCoordinatorRequest)
		resp := asked.ResponseKind().(*kmsg.FindCoordinatorResponse)
		resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
		for _, key := range asked.CoordinatorKeys {
			answer := kmsg.NewFindCoordinatorResponseCoordinator()
			answer.Key, answer.ErrorCode = key, kerr.CoordinatorNotAvailable.Code
			resp.Coordinators = append(resp.Coordinators, answer)
		}
		return resp, nil, true
	})
}

// refuseOffsets answers every question for committed offsets with an error.
func refuseOffsets(cluster *kfake.Cluster, with *kerr.Error) {
	cluster.ControlKey(kmsg.OffsetFetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked := req.(*kmsg.OffsetFetchRequest)
		resp := asked.ResponseKind().(*kmsg.OffsetFetchResponse)
		resp.ErrorCode = with.Code
		for _, group := range asked.Groups {
			answer := kmsg.NewOffsetFetchResponseGroup()
			answer.Group, answer.ErrorCode = group.Group, with.Code
			resp.Groups = append(resp.Groups, answer)
		}
		return resp, nil, true
	})
}

func TestDrainedWaitsForWhatIsThereAndSaysWhatIsMissingKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	begun, release := make(chan struct{}), make(chan struct{})
	consume(t, b, func(context.Context, []Record) error {
		close(begun)
		<-release
		return nil
	})
	drained(t, b) // of nothing
	produce(t, newProducer(t, b), "slow")
	wait(t, "the batch is begun", begun)
	short, cancel := context.WithTimeout(t.Context(), 3*drainPoll)
	defer cancel()
	if err := Drained(short, b, testGroup, testTopic); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a batch is under way, and Drained returned %v", err)
	}
	close(release)
	drained(t, b)
}

func TestDrainedDoesNotWaitForWhatComesAfterKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	backlog := make([]Message, 50)
	for i := range backlog {
		backlog[i] = message("key", "there before")
	}
	check(t, p.Produce(t.Context(), backlog...))
	more := message("key", "one is done and two come")
	start(t, NewConsumer(ConsumerConfig{Broker: b, Group: testGroup, Topic: testTopic, MaxBatch: 1,
		Handle: func(ctx context.Context, _ []Record) error { return p.Produce(ctx, more, more) }}))
	drained(t, b)
	if n := lag(t, b); n < 50 {
		t.Errorf("%d records are left, so none of this was proved", n)
	}
}
