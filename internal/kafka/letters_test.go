package kafka

import (
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// buryMany dead-letters n records at once, with their number for a key.
func buryMany(t *testing.T, b Broker, p *Producer, n int) {
	t.Helper()
	letters := make([]*kgo.Record, n)
	for i := range letters {
		letters[i] = &kgo.Record{Topic: b.deadLetters(testTopic), Key: []byte(strconv.Itoa(i)), Headers: []kgo.RecordHeader{{Key: headerReason, Value: []byte("no")}}}
	}
	for portion := range slices.Chunk(letters, maxBuffered/2) {
		check(t, p.send(t.Context(), portion))
	}
}

func TestHoweverManyLettersThereAreTheyAreReadInTheirOrderAndReplayed(t *testing.T) {
	t.Parallel()
	_, b := newUnruly(t)
	p := newProducer(t, b)
	const many = 120_000
	buryMany(t, b, p, many)
	n := 0
	var last Letter
	for l, err := range Letters(t.Context(), b, testTopic) {
		check(t, err)
		if string(l.Record.Key) != strconv.Itoa(n) {
			t.Fatalf("letter %d is %s", n, l.Record.Key)
		}
		n, last = n+1, l
	}
	if n != many {
		t.Fatalf("%d letters are read, want %d", n, many)
	}
	// The marks come behind all of them, and are found.
	replayed, err := p.Replay(t.Context(), []Letter{last})
	if replayed != 1 || err != nil {
		t.Fatalf("%d replayed, %v", replayed, err)
	}
	rest, err := gather(LettersAfter(t.Context(), b, testTopic, 0, many-3))
	check(t, err)
	if len(rest) != 2 || !rest[0].Replayed.IsZero() || rest[1].Replayed.IsZero() {
		t.Errorf("the last two are %+v", rest)
	}
}

func TestReadingLettersEndsWhenNobodyWantsMore(t *testing.T) {
	t.Parallel()
	_, b := newUnruly(t)
	buryMany(t, b, newProducer(t, b), 10)
	for l, err := range Letters(t.Context(), b, testTopic) {
		check(t, err)
		if string(l.Record.Key) == "3" {
			break
		}
	}
}
