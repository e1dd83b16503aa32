package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"onsale"
)

// bury dead-letters one record of each value, and returns the letters.
func bury(t *testing.T, b Broker, p *Producer, values ...string) []Letter {
	t.Helper()
	for _, v := range values {
		r, err := p.record(Message{Topic: testTopic, Key: "key of " + v, Value: v, Headers: map[string]string{"trace": v}})
		check(t, err)
		check(t, p.DeadLetter(t.Context(), r, errors.New("no "+v)))
	}
	return letters(t, b)
}

func letters(t *testing.T, b Broker) []Letter {
	t.Helper()
	all, err := gather(Letters(t.Context(), b, testTopic))
	check(t, err)
	return all
}

func TestALetterSaysWhoGaveItUpWhyAndWhenKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	before := time.Now().Add(-time.Second)
	l := bury(t, b, newProducer(t, b), "seat")[0]
	if l.Topic != testTopic || l.Stage != "claim" || l.Reason != "no seat" || l.Origin != b.Topic(testTopic)+"/0@0" ||
		l.Died.Before(before) || l.Died.After(time.Now()) || !l.Replayed.IsZero() {
		t.Errorf("%+v", l)
	}
	for _, s := range Stages {
		if stageOf(s.Topic) != s.Name {
			t.Errorf("the stage of %s is %s", s.Topic, stageOf(s.Topic))
		}
	}
}

func TestAReplayedLetterIsItsStagesAgainAndIsMarkedKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 2)
	p := newProducer(t, b)
	dead := bury(t, b, p, "a", "b", "c")
	n, err := p.Replay(t.Context(), dead[1:2])
	if n != 1 || err != nil {
		t.Fatalf("%d replayed, %v", n, err)
	}
	var got []Record
	done := make(chan struct{})
	consume(t, b, func(_ context.Context, batch []Record) error {
		got = append(got, batch...)
		close(done)
		return nil
	})
	wait(t, "the stage gets it", done)
	drained(t, b)
	r := got[0]
	if value, err := Decode[string](r); len(got) != 1 || err != nil || value != "b" || string(r.Key) != "key of b" || headerOf(r, "trace") != "b" {
		t.Errorf("the stage got %v", got)
	}
	if headerOf(r, headerReplayed) != testTopic+onsale.DeadLetterSuffix+"/0@1" || headerOf(r, headerReason) != "" {
		t.Errorf("headers %v", r.Headers)
	}
	after := letters(t, b)
	if len(after) != 3 || !after[0].Replayed.IsZero() || after[1].Replayed.IsZero() || !after[2].Replayed.IsZero() {
		t.Errorf("the mark is not the replayed letter's: %+v", after)
	}
	if left := deadLetters(t, b); len(left) != 2 {
		t.Errorf("%d letters are dead, want the 2 that were not replayed", len(left))
	}
	// If it dies again that is another letter, which says that it was replayed.
	check(t, p.DeadLetter(t.Context(), r, errors.New("still no b")))
	after = letters(t, b)
	if last := after[len(after)-1]; len(after) != 4 || last.Reason != "still no b" || !last.Replayed.IsZero() || headerOf(last.Record, headerReplayed) == "" {
		t.Errorf("%+v", after[len(after)-1])
	}
}

func TestManyLettersAreReplayedInTheirOrderKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	dead := bury(t, b, p, "x", "y", "z")
	if n, err := p.Replay(t.Context(), dead); n != 3 || err != nil {
		t.Fatalf("%d replayed, %v", n, err)
	}
	h := new(handled)
	consume(t, b, h.add)
	drained(t, b)
	wantHandled(t, h, "x", "y", "z")
	if left := deadLetters(t, b); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
}

func TestALetterIsNotMarkedBeforeItsStageHasIt(t *testing.T) {
	t.Parallel()
	cluster, b := newUnruly(t)
	dead := bury(t, b, newProducer(t, b), "a")
	withheld := withhold(t, cluster)
	short, cancel := context.WithTimeout(t.Context(), 3*drainPoll)
	defer cancel()
	n, err := newProducer(t, b).Replay(short, dead)
	if n != 0 || !errors.Is(err, ErrInDoubt) {
		t.Errorf("%d replayed, %v", n, err)
	}
	withheld.serve()
	if after := letters(t, b); !after[0].Replayed.IsZero() {
		t.Error("it is marked, and its stage doesn't have it")
	}
}
