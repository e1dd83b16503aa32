package kafka

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"onsale"
)

var allTopics = []string{onsale.TopicPurchases, onsale.TopicCharges, onsale.TopicResults, onsale.TopicLateNews, onsale.TopicOrders}

func TestAClusterOfThreeKeepsThreeCopiesAndAcknowledgesTwo(t *testing.T) {
	t.Parallel()
	for brokers, want := range map[int]struct {
		asked    int16
		replicas int
		acks     string
	}{1: {-1, 1, "1"}, 2: {-1, 2, "1"}, 3: {3, 3, "2"}, 4: {3, 3, "2"}} {
		cluster, b := newUnruly(t, kfake.NumBrokers(brokers))
		cluster.ControlKey(kmsg.CreateTopics.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			for _, topic := range req.(*kmsg.CreateTopicsRequest).Topics {
				if topic.ReplicationFactor != want.asked {
					t.Errorf("%d brokers: %d copies of %s are asked for, want %d", brokers, topic.ReplicationFactor, topic.Topic, want.asked)
				}
			}
			return nil, nil, false
		})
		check(t, EnsureTopics(t.Context(), b, 1)) // it asks for those that exist too
		for _, topic := range allTopics {
			for _, name := range []string{b.Topic(topic), b.deadLetters(topic)} {
				partitions, settings := describe(t, b, name)
				if n := len(partitions[0].Replicas); n != want.replicas || settings["min.insync.replicas"] != want.acks {
					t.Errorf("%d brokers: %s has %d copies and acknowledges %s, want %+v", brokers, name, n, settings["min.insync.replicas"], want)
				}
			}
		}
	}
}

func TestTopicsAreMadeAsSafeAsTheyAreNeededKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	check(t, EnsureTopics(t.Context(), b, 5)) // they are left as they are
	for _, topic := range allTopics {
		partitions, settings := describe(t, b, b.Topic(topic))
		policy := "delete"
		if topic == onsale.TopicOrders {
			policy = "compact"
		}
		if len(partitions) != 3 || settings["cleanup.policy"] != policy || settings["unclean.leader.election.enable"] != "false" {
			t.Errorf("%s: %d partitions, %v", topic, len(partitions), settings)
		}
		partitions, settings = describe(t, b, b.deadLetters(topic))
		if len(partitions) != 1 || settings["retention.ms"] != "-1" || settings["cleanup.policy"] != "delete" {
			t.Errorf("dead letters of %s: %d partitions, %v", topic, len(partitions), settings)
		}
	}
}

func TestABrokerThatIsNotThereIsSaidSo(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithTimeout(t.Context(), 3*drainPoll)
	defer cancel()
	if err := Ping(gone, Broker{Seeds: []string{"127.0.0.1:1"}}); err == nil {
		t.Error("nobody is there, and it answered")
	}
	if err := Ping(t.Context(), Broker{}); err == nil {
		t.Error("no address, and it answered")
	}
	check(t, Ping(t.Context(), newBroker(t, 1)))
}

// describe returns a topic's partitions and settings.
func describe(t *testing.T, b Broker, topic string) (kadm.PartitionDetails, map[string]string) {
	t.Helper()
	cl, err := b.client()
	check(t, err)
	defer cl.Close()
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(t.Context(), topic)
	check(t, err)
	check(t, topics.Error())
	described, err := admin.DescribeTopicConfigs(t.Context(), topic)
	check(t, err)
	one, err := described.On(topic, nil)
	check(t, err)
	settings := map[string]string{}
	for _, c := range one.Configs {
		settings[c.Key] = c.MaybeValue()
	}
	return topics[topic].Partitions, settings
}

func TestProvidersTopicKeepsTheLastOfEachForAWhileKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t, 3)
	partitions, settings := describe(t, b, b.Topic(onsale.TopicProviders))
	if len(partitions) != 1 || settings["cleanup.policy"] != "compact,delete" {
		t.Errorf("%d partitions, %v", len(partitions), settings)
	}
}
