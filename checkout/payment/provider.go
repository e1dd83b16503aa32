// Package payment asks for the money of orders whose inventory is claimed. The
// one thing that it never does is guess: a charge that was not answered may have
// been made, so it is asked about, and asked again under the same idempotency
// key, until the provider says for certain what became of it.
//
// The way of a charge through this folder:
//
//	Kafka charges → worker.go → undecided.go → provider.go ← client.go ──HTTP──▶ provider
//	Kafka results ←─────────────────┘               webhook.go ◀──signed notice──┘
//
// The folder simulator is a provider that misbehaves like real ones.
package payment

import (
	"context"

	"onsale"
)

// Provider is a payment provider. All methods are safe for concurrent use.
type Provider interface {
	// Charge takes the money of an order, under the idempotency key that is the
	// order's id: however often it is called for an order, the money is taken once
	// at the most, and each definite answer is the same. An error means that what
	// happened is unknown: the money may have been taken, now or a little later.
	Charge(ctx context.Context, charge onsale.Charge) (onsale.ChargeResult, error)

	// LookUp returns what became of an order's charge. found is false if the
	// provider has none on record; one that is under way may still be recorded.
	LookUp(ctx context.Context, order onsale.OrderID) (result onsale.ChargeResult, found bool, err error)

	// Ledger returns all that the provider has on record for an event, an entry an
	// order, in the order of their first record.
	Ledger(ctx context.Context, event onsale.EventID) ([]onsale.LedgerEntry, error)
}
