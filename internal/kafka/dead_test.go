package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"onsale"
)

func TestADeadLetterKeepsItsRecordAndSaysWhyKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	for i := range 3 {
		check(t, p.Produce(t.Context(), Message{Topic: testTopic, Key: "concert", Value: i, Headers: map[string]string{"trace": fmt.Sprint(i)}}))
	}
	consume(t, b, func(ctx context.Context, batch []Record) error {
		for _, r := range batch {
			if err := p.DeadLetter(ctx, r, errors.New("no such section")); err != nil {
				return err
			}
		}
		return nil
	})
	drained(t, b) // committed, so acknowledged
	dead := deadLetters(t, b)
	if len(dead) != 3 {
		t.Fatalf("%d dead letters, want 3", len(dead))
	}
	for i, r := range dead {
		reason, origin := Reason(r)
		if want := fmt.Sprintf("%s%s/0@%d", b.Prefix, testTopic, i); reason != "no such section" || origin != want {
			t.Errorf("reason %q of %q, want of %q", reason, origin, want)
		}
		if string(r.Value) != fmt.Sprint(i) || string(r.Key) != "concert" || r.Headers[0].Key != "trace" || string(r.Headers[0].Value) != fmt.Sprint(i) {
			t.Errorf("dead letter %d: %+v", i, r)
		}
	}
}

func TestDeadLettersAreThoseThatAreThereAndNoneIsNoErrorKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	if dead := deadLetters(t, b); len(dead) != 0 {
		t.Fatalf("%d dead letters in a new topic", len(dead))
	}
	r, err := p.record(message("k", "v"))
	check(t, err)
	for n := range 3 {
		check(t, p.DeadLetter(t.Context(), r, errors.New("again")))
		if dead := deadLetters(t, b); len(dead) != n+1 {
			t.Errorf("%d dead letters, want %d", len(dead), n+1)
		}
	}
	// Of another stage they are not.
	if dead, err := gather(DeadLetters(t.Context(), b, onsale.TopicResults)); err != nil || len(dead) != 0 {
		t.Errorf("%d, %v", len(dead), err)
	}
	if _, err := gather(DeadLetters(t.Context(), b, "no.such.topic")); err == nil {
		t.Error("a topic that isn't there has no dead letters")
	}
}

func TestADeadLetterThatDiesAgainSaysTheLastReasonKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 1)
	p := newProducer(t, b)
	r, err := p.record(message("k", "v"))
	check(t, err)
	check(t, p.DeadLetter(t.Context(), r, errors.New("first")))
	replayed := deadLetters(t, b)[0]
	replayed.Topic = b.Topic(testTopic)
	check(t, p.DeadLetter(t.Context(), replayed, errors.New("second")))
	if reason, _ := Reason(deadLetters(t, b)[1]); reason != "second" {
		t.Errorf("reason %q", reason)
	}
}

func deadLetters(t *testing.T, b Broker) []Record {
	t.Helper()
	dead, err := gather(DeadLetters(t.Context(), b, testTopic))
	check(t, err)
	return dead
}

// gather returns all that is yielded before an error.
func gather[T any](seq iter.Seq2[T, error]) (all []T, err error) {
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
