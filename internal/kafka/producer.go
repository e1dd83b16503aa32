package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
)

const (
	// maxBuffered is how many records may wait for their acknowledgement before
	// Produce answers ErrFull at once.
	maxBuffered = 50_000
	// linger trades a millisecond of latency for batches, which is what a broker is fast at.
	linger = time.Millisecond
	// usualValue is how long most values are, in bytes.
	usualValue = 512
	// flushTime bounds how long Close waits for what nobody waits for any more.
	flushTime = 2 * time.Second
)

// ErrFull says that the producer's buffer had no room for a record, which was not sent.
var ErrFull = errors.New("kafka: producer buffer full")

// ErrInDoubt says that an acknowledgement did not come in time. The record may be
// in Kafka, or land there later, at any time while the producer lives: whoever
// sent it must be able to send it again, and whoever reads it to meet it late.
var ErrInDoubt = errors.New("kafka: not acknowledged in time, in doubt")

// Message is a record to be produced. Its Value is written as JSON.
type Message struct {
	Topic   string // one of the root package's topics
	Key     string
	Value   any
	Headers map[string]string
}

// Producer writes records: idempotent, acknowledged by all in-sync replicas. A
// record on its way is never cancelled: to keep a partition's sequence without a
// gap, one that was sent and not answered is sent again until its fate is known,
// long after Produce has stopped waiting for it. Only a record that was never
// sent, or that the broker has answered, is given up when it is too old. Safe for
// concurrent use.
type Producer struct {
	b  Broker
	cl *kgo.Client
}

// NewProducer returns a producer. It connects when it is first used.
func NewProducer(b Broker) (*Producer, error) {
	cl, err := b.client(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.ProducerLinger(linger),
		kgo.RecordDeliveryTimeout(onsale.ProduceTimeout),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, err
	}
	return &Producer{b: b, cl: cl}, nil
}

// Produce sends the messages and waits. It returns nil only when all of them are
// acknowledged. If ctx has already ended, nothing is sent. ErrFull means that some
// were not sent, ErrInDoubt that ctx ended, or onsale.ProduceTimeout passed, before
// all were acknowledged; in every error case but the first some of them may be in
// Kafka, or come to be.
func (p *Producer) Produce(ctx context.Context, messages ...Message) error {
	records := make([]*kgo.Record, len(messages))
	for i, m := range messages {
		r, err := p.record(m)
		if err != nil {
			return err
		}
		records[i] = r
	}
	return p.send(ctx, records)
}

// ProduceThen is Produce of one message for who can't wait: then is told once what came of it, by
// a goroutine that it must not hold up, or by the caller.
func (p *Producer) ProduceThen(m Message, then func(error)) {
	r, err := p.record(m)
	if err != nil {
		then(err)
		return
	}
	var told atomic.Bool
	tell := func(err error) {
		if told.CompareAndSwap(false, true) {
			then(err)
		}
	}
	late := time.AfterFunc(onsale.ProduceTimeout, func() { tell(ErrInDoubt) })
	p.cl.TryProduce(context.Background(), r, func(_ *kgo.Record, err error) {
		late.Stop()
		tell(produced(err))
	})
}

// Close waits for what is on its way, a bounded time, and closes the connections.
func (p *Producer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	// What can't be flushed was never acknowledged to anyone.
	_ = p.cl.Flush(ctx)
	p.cl.Close()
}

func (p *Producer) record(m Message) (*kgo.Record, error) {
	value, err := encode(m.Value)
	if err != nil {
		return nil, fmt.Errorf("encode a message of %s: %w", m.Topic, err)
	}
	r := &kgo.Record{Topic: p.b.Topic(m.Topic), Key: []byte(m.Key), Value: value}
	for k, v := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	return r, nil
}

// encode writes a value as JSON. One that can append itself does: that costs a fifth.
func encode(v any) ([]byte, error) {
	if v, ok := v.(interface {
		AppendJSON(to []byte) ([]byte, error)
	}); ok {
		return v.AppendJSON(make([]byte, 0, usualValue))
	}
	return json.Marshal(v)
}

func (p *Producer) send(ctx context.Context, records []*kgo.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("kafka: nothing was sent: %w", err)
	}
	acks := newAcks(len(records))
	for _, r := range records {
		// Not with ctx: a produce is never cancelled, only no longer waited for.
		p.cl.TryProduce(context.WithoutCancel(ctx), r, acks.done)
	}
	timeout := time.NewTimer(onsale.ProduceTimeout)
	defer timeout.Stop()
	select {
	case <-acks.all:
		return acks.err()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrInDoubt, ctx.Err())
	case <-timeout.C:
		return ErrInDoubt
	}
}

// produced puts the client's word on a record into this package's.
func produced(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kgo.ErrMaxBuffered):
		return ErrFull
	case errors.Is(err, kgo.ErrRecordTimeout):
		// Answered, but not with a yes or a no: a leader may have it and its followers not.
		return fmt.Errorf("%w: %w", ErrInDoubt, err)
	}
	return fmt.Errorf("produce: %w", err)
}

// acks waits for a number of acknowledgements and keeps the first error.
type acks struct {
	all chan struct{} // closed when none is missing

	mu      sync.Mutex
	missing int   // under mu
	first   error // under mu
}

func newAcks(n int) *acks {
	a := &acks{all: make(chan struct{}), missing: n}
	if n == 0 {
		close(a.all)
	}
	return a
}

func (a *acks) done(_ *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil {
		a.first = produced(err)
	}
	if a.missing--; a.missing == 0 {
		close(a.all)
	}
}

func (a *acks) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first
}
