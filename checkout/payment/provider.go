// Package payment asks for the money of orders whose inventory is claimed. The
// one thing that it never does is guess: a charge that was not answered may have
// been made, so it is asked about, and asked again under the same idempotency
// key, until the provider says for certain what became of it.
//
// The way of a charge through this folder:
//
//	Kafka charges → worker.go → undecided.go → attempt.go → breaker.go → provider.go ─HTTP→ provider
//	Kafka results ←──────────────────┘                               notices.go ◀─signed──┘
//	Kafka providers ← delay.go (payments are delayed) → every front
//
// The folder simulator is a provider that misbehaves like real ones, and client.go
// speaks to it; the folder stripe is Stripe's PaymentIntents.
package payment

import (
	"context"
	"errors"
	"fmt"

	"onsale"
)

// Provider is a payment provider. All methods are safe for concurrent use, and each
// is idempotent under its key, which is the order's id or the refund's: however often
// it is called, it has its effect once at the most, and each definite answer is the
// same. An error means that what happened is unknown: money may have moved, now or a
// little later. The two errors below say more.
//
// All that is about an order takes the whole charge, always the same one, since some
// providers can find what they have on record only by being asked the same again.
type Provider interface {
	// Charge takes the money of an order: authorise and capture at once, which is how
	// orders are charged.
	Charge(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error)

	// Authorise sets the money of an order aside: the result is authorised or
	// declined. An order is either charged or authorised, never both.
	Authorise(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error)

	// Capture takes the money that was set aside: the result is captured, or declined
	// if it was voided before.
	Capture(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error)

	// Void calls an order's charge off, whether it was asked for or not. The result is
	// how it ended: declined, with onsale.DeclinedVoided if by this, after which no
	// later Charge under that key can take money; or captured, for which it was too late.
	Void(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error)

	// Refund pays back money that was captured, the whole or a part, never more than
	// was captured less what was paid back. Its key is the refund's id.
	Refund(ctx context.Context, refund onsale.Refund) (onsale.RefundResult, error)

	// LookUpRefund returns what has become of a refund, and pays nothing back. It is the one
	// answer that may change: what was made is refused if the bank has sent the money back.
	// found is false if the provider has none under the id.
	LookUpRefund(ctx context.Context, refund onsale.Refund) (result onsale.RefundResult, found bool, err error)

	// LookUp returns what became of an order's charge. found is false if the
	// provider has decided none; one that is under way may still be.
	LookUp(ctx context.Context, charge onsale.Charge) (result onsale.ChargeResult, found bool, err error)

	// Ledger returns all that the provider has decided for an event, an entry an
	// order, in the order of their first record.
	Ledger(ctx context.Context, event onsale.EventID) ([]onsale.LedgerEntry, error)
}

var (
	// ErrRefused says that the provider will never do what was asked as it was asked,
	// whatever the time: asking again is useless. It is no outcome yet, since another
	// request under the same key may have had one.
	ErrRefused = errors.New("the provider refuses this for good")
	// ErrPending says that the provider has answered that it doesn't know yet, as while
	// a bank asks its customer.
	ErrPending = errors.New("the provider has not decided yet")
)

// definite returns an error if an answer does not say for certain what became of
// the order.
func definite(r onsale.ChargeResult, order onsale.OrderID) error {
	switch {
	case r.Order != order:
		return fmt.Errorf("the answer is about order %.80q", r.Order)
	case r.Outcome != onsale.ChargeCaptured && r.Outcome != onsale.ChargeDeclined:
		return fmt.Errorf("the answer's outcome is %.40q", r.Outcome)
	case r.Outcome == onsale.ChargeCaptured && r.Reference == "":
		return errors.New("the answer says captured and has no reference")
	case r.Outcome == onsale.ChargeCaptured && (r.Amount < 0 || r.Currency == ""):
		return errors.New("the answer says captured and not how much")
	}
	return nil
}

// definiteRefund is the same for a refund.
func definiteRefund(r onsale.RefundResult, id onsale.RefundID) error {
	switch {
	case r.ID != id:
		return fmt.Errorf("the answer is about refund %.80q", r.ID)
	case r.Outcome != onsale.RefundRefused && (r.Outcome != onsale.RefundMade || r.Reference == ""):
		return fmt.Errorf("the answer's outcome is %.40q, its reference %.40q", r.Outcome, r.Reference)
	}
	return nil
}
