package payment

// One attempt to have a charge decided, and when to stop attempting.
//
// The invariant: an order is told declined only after the provider has said so, or
// after it has said that the charge is called off, which it can't be once money was
// taken. So there are three ways to a definite answer:
//
//	the provider answers                                    → what it says
//	it refuses the request for good, and knows of no charge → called off, provider_refused
//	giveUp has passed since the charge was first asked for  → called off, payment_timeout
//
// Calling off is asked for like everything else: until it is answered. If it comes
// too late, the answer is "captured", and the order is paid.

import (
	"context"
	"errors"
	"time"

	"onsale"
	"onsale/internal/crashpoint"
)

// attemptTime is how long one question to the provider may take, whatever its own
// time-outs are.
const attemptTime = 10 * time.Second

// attempt asks the provider once to charge and, if that isn't answered, what
// became of it. An error means that it is still unknown.
func (u *undecided) attempt(ctx context.Context, d *decision) (onsale.ChargeResult, error) {
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return onsale.ChargeResult{}, ctx.Err()
	}
	// However long it has waited, behind others or a breaker: that is no reason to call it off.
	if d.asked && time.Since(d.charge.AskedAt) > u.giveUp {
		return u.callOff(ctx, d.charge, onsale.DeclinedTimeout)
	}
	began := time.Now()
	crashpoint.Reach(crashpoint.BeforeCharge)
	result, err := u.ask(ctx, d.charge, u.provider.Charge)
	switch {
	case err == nil:
		crashpoint.Reach(crashpoint.AfterCharge)
		return result, nil
	case errors.Is(err, ErrNotAsked) && !d.asked:
		return onsale.ChargeResult{}, err // there is nothing to look up
	}
	d.noteAsked(began)
	u.counters.unknown.Inc()
	asking, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	result, found, lookUpErr := u.provider.LookUp(asking, d.charge)
	if lookUpErr == nil && found {
		lookUpErr = definite(result, d.charge.Order)
	}
	switch {
	case lookUpErr != nil:
		return onsale.ChargeResult{}, errors.Join(err, lookUpErr)
	case found:
		return result, nil
	case errors.Is(err, ErrRefused):
		return u.callOff(ctx, d.charge, onsale.DeclinedRefused)
	}
	// Not "it was not charged": it may be on its way. Only the provider, asked
	// under the same key, can say.
	return onsale.ChargeResult{}, err
}

// callOff voids a charge. What it declines is declined for the reason.
func (u *undecided) callOff(ctx context.Context, charge onsale.Charge, reason string) (onsale.ChargeResult, error) {
	crashpoint.Reach(crashpoint.BeforeVoid)
	result, err := u.ask(ctx, charge, u.provider.Void)
	if err != nil {
		return onsale.ChargeResult{}, err
	}
	crashpoint.Reach(crashpoint.AfterVoid)
	if result.Outcome == onsale.ChargeDeclined && result.Reason == onsale.DeclinedVoided {
		result.Reason = reason
	}
	return result, nil
}

// ask puts one question, and takes a definite answer alone.
func (u *undecided) ask(
	ctx context.Context, charge onsale.Charge, question func(context.Context, onsale.Charge) (onsale.ChargeResult, error),
) (onsale.ChargeResult, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	result, err := question(ctx, charge)
	if err == nil {
		err = definite(result, charge.Order)
	}
	return result, err
}
