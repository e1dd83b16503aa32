package payment

// When a provider fails, asking it more is what keeps it down, and what was asked
// and not answered is work for later. So a breaker stands before it, one in each
// worker:
//
//	closed ──half of what was asked in 10 s failed──▶ open ──30 s──▶ half open
//	   ▲                                               ▲                │ one charge goes: the canary
//	   └──── answered: the ramp lets 10 → 100 % in ────┼────────────────┤
//	                                                   └──── failed ────┘
//
// The promise: while it is open nobody is charged, and nothing is lost or declined by
// that; orders wait in Kafka. What is counted are the questions that may take money
// (charge, authorise, capture) and those that call them off. A decline is an answer,
// and so is a refusal: neither counts as a failure. Voids, refunds and look-ups pass
// whatever the state: they end what is undecided, which is the way out.
//
// Room is how orders wait: it says to the consumer how much may be taken from Kafka.
// Nothing while the breaker is open, one record for the canary, and then as much as
// the ramp lets in. So nothing goes round in the topic meanwhile.
//
// State machine: gobreaker's. Ours is the ramp, and to tell who waits.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/sony/gobreaker/v2"

	"onsale"
)

const (
	// failureWindow is the rolling time over which failures are counted, in steps of failureStep.
	failureWindow = 10 * time.Second
	failureStep   = time.Second
	// minAsked is how much must have been asked in it before it says anything.
	minAsked = 20
	// failureShare of what was asked, failed, opens the breaker.
	failureShare = 0.5
	// openTime is how long it stays open before a canary goes.
	openTime = 30 * time.Second
	// openMargin is what gobreaker needs beyond openTime, which it must have passed.
	openMargin = time.Millisecond
)

// ErrNotAsked says that the breaker let nothing through: the provider was not asked,
// so nothing has happened by this call.
var ErrNotAsked = errors.New("the provider is not asked for money while it fails")

// Breaker is a Provider that is not asked for money while it fails. Safe for
// concurrent use.
type Breaker struct {
	Provider
	name     string
	openTime time.Duration
	log      *slog.Logger
	state    *gobreaker.TwoStepCircuitBreaker[struct{}]
	trips    *metrics.Counter

	mu      sync.Mutex    // never held while state is asked, which calls turned under a mutex of its own
	ramp    ramp          // under mu
	reopen  time.Time     // under mu: when the open state ends
	changed chan struct{} // under mu: closed, and a new one made, when there may be room
}

// newBreaker returns a closed breaker before a provider, and says how long it stays
// open and the ramp lasts. The name goes into the logs and metrics: no two of a name may share a set.
func newBreaker(provider Provider, name string, openTime time.Duration, set *metrics.Set, log *slog.Logger) *Breaker {
	b := &Breaker{Provider: provider, name: name, openTime: openTime, log: log, changed: make(chan struct{})}
	b.state = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Interval: failureWindow, BucketPeriod: failureStep, Timeout: openTime,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			ended := c.TotalSuccesses + c.TotalFailures
			return ended >= minAsked && float64(c.TotalFailures) >= failureShare*float64(ended)
		},
		IsSuccessful:  func(err error) bool { return err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrPending) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) }, // it is us who stop
		OnStateChange: b.turned,
	})
	label := `{provider="` + name + `"}`
	b.trips = set.NewCounter("onsale_payment_breaker_trips_total" + label)
	set.NewGauge("onsale_payment_breaker_state"+label, func() float64 { return float64(b.state.State()) }) // 0 closed, 1 half open, 2 open
	set.NewGauge("onsale_payment_breaker_admitted_share"+label, b.admittedShare)
	return b
}

// Charge implements Provider. ErrNotAsked means that nothing was charged by it.
func (b *Breaker) Charge(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	return b.guarded(ctx, c, b.Provider.Charge)
}

// Authorise implements Provider, as Charge does.
func (b *Breaker) Authorise(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	return b.guarded(ctx, c, b.Provider.Authorise)
}

// Capture implements Provider, as Charge does.
func (b *Breaker) Capture(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	return b.guarded(ctx, c, b.Provider.Capture)
}

// Void implements Provider. It always passes; if a charge could have passed instead,
// it says as much of the provider's health as one, and is counted.
func (b *Breaker) Void(ctx context.Context, c onsale.Charge) (onsale.ChargeResult, error) {
	answered, err := b.admit()
	if err != nil {
		return b.Provider.Void(ctx, c)
	}
	result, err := b.Provider.Void(ctx, c)
	answered(err)
	return result, err
}

func (b *Breaker) guarded(
	ctx context.Context, c onsale.Charge, ask func(context.Context, onsale.Charge) (onsale.ChargeResult, error),
) (onsale.ChargeResult, error) {
	answered, err := b.admit()
	if err != nil {
		return onsale.ChargeResult{}, err
	}
	result, err := ask(ctx, c)
	answered(err)
	return result, err
}

// admit lets one question through, whose end must be told to what it returns.
func (b *Breaker) admit() (answered func(error), err error) {
	b.mu.Lock()
	passes := b.ramp.passes(time.Now())
	b.mu.Unlock()
	if !passes {
		return nil, fmt.Errorf("%w: it has just come back", ErrNotAsked)
	}
	done, err := b.state.Allow()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAsked, err)
	}
	return func(err error) {
		done(err)
		if b.state.State() == gobreaker.StateHalfOpen {
			b.wake() // a canary that says nothing makes room for another
		}
	}, nil
}

// Room waits until a charge may pass, and returns how many may be taken on, of most;
// 0 if ctx ends first.
func (b *Breaker) Room(ctx context.Context, most int) int {
	for {
		b.mu.Lock()
		changed, left := b.changed, time.Until(b.reopen)
		b.mu.Unlock()
		switch b.state.State() {
		case gobreaker.StateClosed:
			return max(1, int(b.admittedShare()*float64(most)))
		case gobreaker.StateHalfOpen:
			if c := b.state.Counts(); c.Requests == c.TotalExclusions {
				return 1 // the canary
			}
			left = b.openTime // for the canary on its way, that is: its end is told
		case gobreaker.StateOpen:
		}
		timer := time.NewTimer(max(left, openMargin))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0
		}
		timer.Stop()
	}
}

// Closed reports whether the provider is asked for money as if nothing had been,
// and returns a channel that is closed when that may have changed.
func (b *Breaker) Closed() (closed bool, changed <-chan struct{}) {
	b.mu.Lock()
	changed = b.changed
	b.mu.Unlock()
	return b.state.State() == gobreaker.StateClosed, changed
}

func (b *Breaker) admittedShare() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ramp.shareAt(time.Now())
}

// turned is told each change of the state.
func (b *Breaker) turned(_ string, from, to gobreaker.State) {
	b.mu.Lock()
	switch to {
	case gobreaker.StateOpen:
		b.reopen = time.Now().Add(b.openTime + openMargin)
		b.ramp = ramp{} // the state alone says what passes
	case gobreaker.StateClosed:
		b.ramp = ramp{since: time.Now(), lasts: b.openTime}
	case gobreaker.StateHalfOpen:
	}
	b.mu.Unlock()
	if to == gobreaker.StateOpen {
		b.trips.Inc()
	}
	b.log.Warn("the payment provider's breaker turned", "provider", b.name, "from", from.String(), "to", to.String())
	b.wake()
}

func (b *Breaker) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}
