package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/internal/kafka"
	"onsale/internal/stores/storestest"
)

// graveyard is a Kafka with dead letters: two purchases that died of the same, and a
// charge that nobody can read.
type graveyard struct {
	t        *testing.T
	broker   kafka.Broker
	producer *kafka.Producer
}

func newGraveyard(t *testing.T) *graveyard {
	t.Helper()
	g := &graveyard{t: t, broker: kafka.Broker{Seeds: storestest.Kafka(t), Prefix: storestest.KafkaPrefix(t)}}
	if err := kafka.EnsureTopics(t.Context(), g.broker, 2); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.producer, err = kafka.NewProducer(g.broker); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.producer.Close)
	for _, buyer := range []onsale.BuyerID{"buy_alice", "buy_bob"} {
		g.bury(onsale.TopicPurchases, "gala", onsale.Purchase{Event: "gala", Buyer: buyer, Amount: 9007199254740993, PaymentToken: "tok_secret"},
			errors.New("order ord_gala_1_"+string(buyer)+" has 17 lines"))
	}
	g.bury(onsale.TopicCharges, "ord_gala_1_x", map[string]any{"Payment_Token": "tok_secret", "amount": "many"}, errors.New("amount is a text"))
	return g
}

func (g *graveyard) bury(topic, key string, value any, reason error) {
	g.t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		g.t.Fatal(err)
	}
	r := &kgo.Record{Topic: g.broker.Topic(topic), Key: []byte(key), Value: text}
	if err := g.producer.DeadLetter(g.t.Context(), r, reason); err != nil {
		g.t.Fatal(err)
	}
}

// run runs a dlq command that must succeed.
func (g *graveyard) run(args ...string) string {
	g.t.Helper()
	code, stdout, stderr := g.try(args...)
	if code != 0 {
		g.t.Fatalf("dlq %q exits with %d:\n%s", args, code, stderr)
	}
	if strings.Contains(stdout+stderr, "tok_secret") {
		g.t.Errorf("dlq %q shows a payment token:\n%s", args, stdout)
	}
	return stdout
}

func (g *graveyard) try(args ...string) (code int, stdout, stderr string) {
	g.t.Helper()
	args = append([]string{"dlq", args[0], "--kafka", strings.Join(g.broker.Seeds, ","), "--kafka-prefix", g.broker.Prefix}, args[1:]...)
	return run(g.t, args...)
}

// lag is how many records of the topic nobody has handled.
func (g *graveyard) lag(topic string) int64 {
	g.t.Helper()
	n, err := kafka.Lag(g.t.Context(), g.broker, "nobody", topic)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

func TestDeadLettersAreCountedByTopicAndReasonKafka(t *testing.T) {
	t.Parallel()
	g := newGraveyard(t)
	var topics []deadTopic
	if err := json.Unmarshal([]byte(g.run("list", "--json")), &topics); err != nil {
		t.Fatal(err)
	}
	if len(topics) != len(kafka.Stages) || topics[0].Letters != 2 || topics[1].Letters != 1 || topics[2].Letters != 0 || topics[0].Stage != "claim" {
		t.Fatalf("%+v", topics)
	}
	if r := topics[0].Reasons; len(r) != 1 || r[0].Letters != 2 || r[0].Reason != "order # has # lines" || r[0].First != "onsale.purchases:0:0" || r[0].Oldest.IsZero() {
		t.Errorf("reasons %+v", r)
	}
	if table := g.run("list"); !strings.Contains(table, "order # has # lines (first: onsale.purchases:0:0)") {
		t.Error(table)
	}
	if table := g.run("list", "purchases"); strings.Count(table, "\n") != 3 || !strings.Contains(table, "onsale.purchases:0:1") {
		t.Error(table)
	}
}

func TestALetterIsShownWithoutItsPaymentTokenKafka(t *testing.T) {
	t.Parallel()
	g := newGraveyard(t)
	var v letterView
	if err := json.Unmarshal([]byte(g.run("show", "onsale.purchases:0:1", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	var p onsale.Purchase
	if err := json.Unmarshal(v.Value, &p); err != nil {
		t.Fatal(err)
	}
	if v.Letter != "onsale.purchases:0:1" || v.Key != "gala" || v.Stage != "claim" || v.Headers["onsale-stage"] != "claim" ||
		p.Buyer != "buy_bob" || p.PaymentToken != masked || p.Amount != 9007199254740993 {
		t.Errorf("%+v\n%+v", v, p)
	}
	if text := g.run("show", "charges:0:0"); !strings.Contains(text, "amount is a text") || !strings.Contains(text, masked) {
		t.Error(text)
	}
	if code, _, stderr := g.try("show", "charges:0:99"); code != exitUsage || !strings.Contains(stderr, "no dead letter") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestALetterIsReplayedOnceUnlessItIsAskedForAgainKafka(t *testing.T) {
	t.Parallel()
	g := newGraveyard(t)
	if out := g.run("replay", "onsale.purchases:0:0"); !strings.Contains(out, "replayed: 1") {
		t.Error(out)
	}
	code, _, stderr := g.try("replay", "onsale.purchases:0:0")
	if code != exitFailed || !strings.Contains(stderr, "--again") || g.lag(onsale.TopicPurchases) != 1 {
		t.Errorf("exit %d with %d replayed: %s", code, g.lag(onsale.TopicPurchases), stderr)
	}
	g.run("replay", "onsale.purchases:0:0", "--again")
	if n := g.lag(onsale.TopicPurchases); n != 2 {
		t.Errorf("%d replayed, want 2", n)
	}
	// All of a topic is what is left of it.
	if out := g.run("replay", "--all", "purchases", "--json"); !strings.Contains(out, `"replayed": 1`) || !strings.Contains(out, `"replayed_before": 1`) {
		t.Error(out)
	}
	if n := g.lag(onsale.TopicPurchases); n != 3 {
		t.Errorf("%d replayed, want 3", n)
	}
	if out := g.run("replay", "--all", "results"); !strings.Contains(out, "replayed: 0") {
		t.Error(out)
	}
}

func TestLettersAreListedPageByPageKafka(t *testing.T) {
	t.Parallel()
	g := newGraveyard(t)
	g.run("replay", "onsale.purchases:0:0") // its mark is no letter
	g.bury(onsale.TopicPurchases, "gala", "third", errors.New("no"))
	var listed []string
	for after := []string(nil); ; {
		var page []letterView
		if err := json.Unmarshal([]byte(g.run(append([]string{"list", "purchases", "--json", "--limit", "2"}, after...)...)), &page); err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, v := range page {
			listed = append(listed, v.Letter)
			if replayed := v.Replayed != nil; replayed != (v.Letter == "onsale.purchases:0:0") {
				t.Errorf("%s is replayed: %v", v.Letter, replayed)
			}
		}
		after = []string{"--after", listed[len(listed)-1]}
	}
	if want := []string{"onsale.purchases:0:0", "onsale.purchases:0:1", "onsale.purchases:0:3"}; !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	if table := g.run("list", "purchases", "--limit", "1"); !strings.Contains(table, "--after onsale.purchases:0:0\n") {
		t.Error(table)
	}
	for _, args := range [][]string{{"list", "purchases", "--limit", "0"}, {"list", "purchases", "--after", "charges:0:0"}, {"list", "purchases", "--after", "x"}} {
		if code, _, stderr := g.try(args...); code != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}

func TestTokensAreMaskedInWhatIsNotJSONToo(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`{"payment_token":"tok_secret"}`, `{"a":[{"PAYMENT_TOKEN":"tok_secret"}]}`, `{"payment_token":{"x":"tok_secret"}}`,
		`{"payment_token": "tok_secret"`, `{"payment_token":"tok_sec`, `{"paymentToken":tok_secret`, `{"payment_token":"a\"tok_secret",`,
	} {
		if out := string(maskTokens([]byte(value))); strings.Contains(out, "tok_sec") || !json.Valid([]byte(out)) {
			t.Errorf("%s is shown as %s", value, out)
		}
	}
	if out := string(maskTokens([]byte("\x00\xff"))); !json.Valid([]byte(out)) {
		t.Error(out)
	}
}
