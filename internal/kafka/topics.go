package kafka

// The topics, and how much of the cluster may be lost before a record that was
// acknowledged is. A buyer's 202 is as durable as what stands here.

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/internal/lifecycle"
)

// DefaultPartitions is how many partitions a topic is created with.
const DefaultPartitions = 6

const (
	// safeReplicas is how many copies a record has where there are brokers enough, and
	// safeAcks how many must exist before it is acknowledged: any one broker may then
	// be lost without losing a record, or be away without stopping the sale.
	safeReplicas = 3
	safeAcks     = "2"
	// stageRetention is for how long a record waits to be handled, in ms: 90 days. What is deleted
	// unread is lost; see loss.go.
	stageRetention = "7776000000"
	// clusterReplicas leaves the number of copies to the cluster.
	clusterReplicas = -1
)

// EnsureTopics creates the topics that don't exist yet, each with its dead-letter
// topic. In a cluster of three brokers or more every record is acknowledged with
// two copies of three; in a smaller one the cluster's own defaults say how many.
// What a stage has to do is kept for 90 days, whatever its size; dead letters for ever. Topics that exist are left as they are.
func EnsureTopics(ctx context.Context, b Broker, partitions int32) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	cl, err := b.clientUntil(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	d, err := durabilityOf(ctx, cl)
	if err != nil {
		return err
	}
	stages := []string{onsale.TopicPurchases, onsale.TopicCharges, onsale.TopicResults, onsale.TopicLateNews}
	for _, t := range stages {
		if err := d.create(ctx, b.Topic(t), partitions, "retention.ms", stageRetention); err != nil {
			return err
		}
	}
	if err := d.create(ctx, b.Topic(onsale.TopicOrders), partitions, "cleanup.policy", "compact"); err != nil {
		return err
	}
	if err := d.create(ctx, b.Topic(onsale.TopicProviders), 1, "cleanup.policy", "compact,delete"); err != nil {
		return err
	}
	for _, t := range append(stages, onsale.TopicOrders) {
		if err := d.create(ctx, b.deadLetters(t), 1, "retention.ms", "-1"); err != nil {
			return err
		}
	}
	served := []string{b.Topic(onsale.TopicProviders)}
	for _, t := range append(stages, onsale.TopicOrders) {
		served = append(served, b.Topic(t), b.deadLetters(t))
	}
	for _, name := range served {
		if err := untilServed(ctx, d.admin, name); err != nil {
			return err
		}
	}
	return nil
}

// untilServed waits until the brokers know a topic that has just been created: they
// answer for a moment as if there were none.
func untilServed(ctx context.Context, admin *kadm.Client, topic string) error {
	for {
		_, err := endOffsets(ctx, admin, topic)
		if err == nil || !kerr.IsRetriable(rootOf(err)) || !lifecycle.Pause(ctx, drainPoll) {
			return err
		}
	}
}

// rootOf is the broker's own error in err's chain, or err.
func rootOf(err error) error {
	var broker *kerr.Error
	if errors.As(err, &broker) {
		return broker
	}
	return err
}

// durability is how the topics of a cluster are made.
type durability struct {
	admin    *kadm.Client
	replicas int16
	configs  map[string]*string
}

func durabilityOf(ctx context.Context, cl *kgo.Client) (durability, error) {
	admin := kadm.NewClient(cl)
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return durability{}, fmt.Errorf("count the brokers: %w", err)
	}
	// A replica that has missed acknowledged records must never lead.
	d := durability{admin: admin, replicas: clusterReplicas, configs: map[string]*string{"unclean.leader.election.enable": text("false")}}
	if len(brokers) >= safeReplicas {
		d.replicas = safeReplicas
		d.configs["min.insync.replicas"] = text(safeAcks)
	}
	return d, nil
}

// create creates a topic with one setting of its own, or none if its name is "".
func (d durability) create(ctx context.Context, topic string, partitions int32, name, value string) error {
	configs := maps.Clone(d.configs)
	configs["retention.bytes"] = text("-1")
	if name != "" {
		configs[name] = text(value)
	}
	_, err := d.admin.CreateTopic(ctx, partitions, d.replicas, configs, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

func text(s string) *string { return &s }
