// Package kafka is what Onsale needs of Kafka, and no more: topics that exist,
// a producer that says "yes" only when every in-sync replica has the record, a
// consumer that commits an offset only after the work is durable, and a tail
// that every process reads on its own.
//
// Every stage built on it is at least once, so every stage must be idempotent.
package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// adminTimeout bounds a question to the cluster.
const adminTimeout = 15 * time.Second

// Broker says where the cluster is.
type Broker struct {
	Seeds  []string // host:port, at least one
	Prefix string   // before every topic's and group's name: "" in production, one of its own for each test
}

// Record is a Kafka record as it was read.
type Record = *kgo.Record

// Topic returns the full name of one of the root package's topics.
func (b Broker) Topic(name string) string { return b.Prefix + name }

func (b Broker) client(opts ...kgo.Opt) (*kgo.Client, error) {
	if len(b.Seeds) == 0 {
		return nil, errors.New("kafka: no broker address given")
	}
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(b.Seeds...),
		kgo.ClientID("onsale"),
		kgo.MetadataMinAge(250 * time.Millisecond), // a broker that restarts is found again soon
		kgo.RetryTimeout(adminTimeout),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// clientUntil returns a client whose every question ends with ctx. One that is asked with
// ctx alone may go on for as long as a broker that doesn't answer is given.
func (b Broker) clientUntil(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	return b.client(append(opts, kgo.WithContext(ctx))...)
}

// Ping returns an error if no broker answers.
func Ping(ctx context.Context, b Broker) error {
	cl, err := b.clientUntil(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil {
		return fmt.Errorf("kafka at %v does not answer: %w", b.Seeds, err)
	}
	return nil
}

// Decode reads a record's JSON value. One that can parse itself does: that costs a tenth.
func Decode[T any](r Record) (T, error) {
	var v T
	var err error
	if p, ok := any(&v).(interface{ ParseJSON(text []byte) error }); ok {
		err = p.ParseJSON(r.Value)
	} else {
		err = json.Unmarshal(r.Value, &v)
	}
	if err != nil {
		return v, fmt.Errorf("decode %s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return v, nil
}
