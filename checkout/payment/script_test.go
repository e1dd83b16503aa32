package payment

// What the worker's tests stand on: a provider and a Kafka that do as they are told, and a
// bubble of simulated time around them.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"onsale"
	"onsale/internal/kafka"
)

var errDown = errors.New("down")

// script is a provider: what it answers is up to the test.
type script struct {
	Provider // for what no worker asks: nil

	charge func(ctx context.Context, c onsale.Charge, attempt int) (onsale.ChargeResult, error)
	lookUp func(order onsale.OrderID) (onsale.ChargeResult, bool, error) // nil: finds nothing
	void   func(c onsale.Charge) (onsale.ChargeResult, error)            // called under mu

	mu      sync.Mutex
	asked   map[onsale.OrderID]int // under mu
	now     int                    // under mu: questions under way
	most    int                    // under mu: the most there ever were
	lookUps int                    // under mu
	voids   int                    // under mu
}

func (p *script) Charge(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	p.mu.Lock()
	if p.asked == nil {
		p.asked = map[onsale.OrderID]int{}
	}
	p.asked[c.Order]++
	attempt := p.asked[c.Order]
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	return p.charge(ctx, c, attempt)
}

func (p *script) LookUp(_ context.Context, c onsale.Charge) (onsale.ChargeResult, bool, error) {
	p.mu.Lock()
	p.lookUps++
	p.mu.Unlock()
	if p.lookUp == nil {
		return onsale.ChargeResult{}, false, nil
	}
	return p.lookUp(c.Order)
}

func (p *script) Void(_ context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.voids++
	if p.void == nil {
		return onsale.ChargeResult{}, errors.New("nobody was to be voided")
	}
	return p.void(c)
}

func (p *script) attempts(order onsale.OrderID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[order]
}

// topics is a Kafka: it remembers what was produced, or is down.
type topics struct {
	mu      sync.Mutex
	down    bool                         // under mu
	results []onsale.ChargeResult        // under mu
	back    []onsale.Charge              // under mu: put back
	dead    []kafka.Record               // under mu
	news    []onsale.ProviderNews        // under mu
	toldAt  map[onsale.OrderID]time.Time // under mu
}

func (k *topics) Produce(_ context.Context, messages ...kafka.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return errDown
	}
	for _, m := range messages {
		switch v := m.Value.(type) {
		case onsale.ChargeResult:
			if m.Topic != onsale.TopicResults || m.Key != string(v.Order) {
				return fmt.Errorf("a result under %s in %s", m.Key, m.Topic)
			}
			if k.toldAt == nil {
				k.toldAt = map[onsale.OrderID]time.Time{}
			}
			k.results = append(k.results, v)
			k.toldAt[v.Order] = time.Now()
		case onsale.Charge:
			if m.Topic != onsale.TopicCharges || m.Key != string(v.Order) {
				return fmt.Errorf("a charge under %s in %s", m.Key, m.Topic)
			}
			k.back = append(k.back, v)
		case onsale.ProviderNews:
			k.news = append(k.news, v)
		}
	}
	return nil
}

func (k *topics) DeadLetter(_ context.Context, r kafka.Record, _ error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return errDown
	}
	k.dead = append(k.dead, r)
	return nil
}

func (k *topics) setDown(down bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = down
}

func (k *topics) told(order onsale.OrderID) (results int, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.results {
		if r.Order == order {
			results++
		}
	}
	return results, k.toldAt[order]
}

// takeBack returns what was put back, as the records that come round next.
func (k *topics) takeBack(t *testing.T) []kafka.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	charges := k.back
	k.back = nil
	return records(t, charges...)
}

func records(t *testing.T, charges ...onsale.Charge) []kafka.Record {
	t.Helper()
	var all []kafka.Record
	for _, c := range charges {
		value, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &kgo.Record{Topic: onsale.TopicCharges, Key: []byte(c.Order), Value: value})
	}
	return all
}

func charges(n int) []onsale.Charge {
	all := make([]onsale.Charge, n)
	for i := range all {
		all[i] = onsale.Charge{
			Order: onsale.NewHoldID("gala", 1).Order(), Event: "gala", Amount: int64(i), Currency: "EUR", PaymentToken: "tok", At: time.Now(),
		}
	}
	return all
}

func capture(c onsale.Charge) onsale.ChargeResult {
	return onsale.ChargeResult{Order: c.Order, Event: c.Event, Outcome: onsale.ChargeCaptured, Reference: "chg_" + string(c.Order), Amount: c.Amount, Currency: c.Currency}
}

// inBubble runs f with a worker in a bubble of simulated time.
func inBubble(t *testing.T, p *script, f func(t *testing.T, w *Worker, k *topics)) {
	synctest.Test(t, func(t *testing.T) {
		k := &topics{}
		w := newWorker(WorkerConfig{Provider: p, GiveUp: time.Hour, Log: slog.New(slog.DiscardHandler)}, k)
		w.deciding.Go(t.Context(), w.undecided.run)
		f(t, w, k)
		if err := w.deciding.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
