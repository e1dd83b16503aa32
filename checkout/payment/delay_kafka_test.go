package payment_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"onsale"
	"onsale/checkout/payment"
	"onsale/checkout/payment/simulator"
	"onsale/internal/kafka"
)

// down is a provider whose charges fail while it is told to.
type down struct {
	payment.Provider
	is atomic.Bool
}

func (d *down) Charge(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	if d.is.Load() {
		return onsale.ChargeResult{}, errors.New("down")
	}
	return d.Provider.Charge(ctx, c)
}

func TestKafkaFrontsHearThatPaymentsAreDelayedAndForgetAWorkerThatIsGone(t *testing.T) {
	s := newStage(t)
	fronts := []*payment.Delays{payment.NewDelays(s.broker, slog.New(slog.DiscardHandler)), payment.NewDelays(s.broker, nil)}
	for _, front := range fronts {
		if err := front.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, front.Stop) })
		if front.Delayed() {
			t.Error("delayed before anybody said so")
		}
	}
	c := newClient(t, startSimulator(t, simulator.Config{}).URL(), answerTime)
	provider := &down{Provider: c}
	provider.is.Store(true)
	worker := s.startWorker(t, provider, nil)
	var all []onsale.Charge
	for range 40 {
		all = append(all, newCharge("tok_ok"))
	}
	s.send(t, all...)
	for _, front := range fronts {
		eventually(t, "payments are delayed", front.Delayed)
	}
	late := payment.NewDelays(s.broker, nil) // it starts when all has been said, and is told again
	if err := late.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, late.Stop) })
	eventually(t, "a front that starts later hears it too", late.Delayed)

	// What somebody else says doesn't end it, nor does what can't be read.
	for _, value := range []any{onsale.ProviderNews{Worker: "wrk_other"}, "nonsense"} {
		if err := s.producer.Produce(t.Context(), kafka.Message{Topic: onsale.TopicProviders, Key: "wrk_other", Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	if !late.Delayed() {
		t.Error("no longer delayed")
	}
	stop(t, worker.Stop) // as a killed one, it says nothing any more
	for _, front := range append(fronts, late) {
		eventually(t, "the worker is forgotten", func() bool { return !front.Delayed() })
	}
	provider.is.Store(false)
	s.startWorker(t, provider, nil)
	s.check(t, c, all) // and nothing was lost meanwhile
}
